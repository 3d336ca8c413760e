import { assertEquals } from "@std/assert/equals";
import { generationQuestion, rulesQuestion, tableQuestion } from "./encode_question.ts";

/** Length and type of the attribute that names the table, its name, and zeros up to a multiple of four. */
const TABLE = "0e000100" + "6c696768747061746800" + "0000";

Deno.test("questions: length, type, flags, number, sender; family, version, resource; what is asked of", () => {
  assertEquals(generationQuestion(3).toHex(), "14000000" + "100a0500" + "03000000" + "00000000" + "00000000");
  assertEquals(
    tableQuestion(4).toHex(),
    "24000000" + "010a0500" + "04000000" + "00000000" + "01000000" + TABLE,
  );
  assertEquals(
    rulesQuestion(5).toHex(),
    "24000000" + "070a0103" + "05000000" + "00000000" + "01000000" + TABLE,
  );
});
