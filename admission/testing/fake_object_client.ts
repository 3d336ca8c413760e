/**
 * An API server's objects in memory: versions, conflicts and the fields of an apply, as far as the webhook's certificates need
 * them. Beside it stands `commands/webhook_apiserver_test.ts` with a real one.
 * @module
 */
import {
  type Fields,
  isFields,
  KubeApiError,
  type ObjectClient,
  type ObjectName,
} from "../../agent/kube/mod.ts";

/** What a client asks for. */
export type Asked = "get" | "create" | "update" | "patch";

/** Objects that several clients share. */
export class FakeObjects {
  readonly #objects = new Map<string, Fields>();
  #version = 0;

  /** A client of its own clock. */
  client(
    options: {
      readonly clockAheadMs?: number;
      /** Runs before a request is looked at; may throw in its place. */
      readonly before?: (verb: Asked, name: ObjectName) => void;
    } = {},
  ): ObjectClient {
    const { clockAheadMs = 0, before = () => {} } = options;
    const ask = (verb: Asked, name: ObjectName, answer: () => Fields): Promise<Fields> => {
      return Promise.resolve().then(() => {
        before(verb, name);
        return structuredClone(answer());
      });
    };
    return {
      server: "https://fake",
      clockAheadMs,
      list: () => {
        throw new TypeError("nothing is listed here");
      },
      get: (name) => ask("get", name, () => this.read(name)),
      create: (name, fields) =>
        ask("create", name, () => {
          if (this.#objects.has(keyOf(name))) throw refusal("create", name, 409);
          return this.write(name, fields);
        }),
      update: (name, fields) =>
        ask("update", name, () => {
          this.#check("update", name, fields);
          return this.write(name, fields);
        }),
      patch: (name, { fields }) =>
        ask("patch", name, () => {
          this.#check("patch", name, fields);
          return this.write(name, applied(this.read(name), fields));
        }),
    };
  }

  /** @throws {KubeApiError} when there is none */
  read(name: ObjectName): Fields {
    return this.#objects.get(keyOf(name)) ?? (() => {
      throw refusal("get", name, 404);
    })();
  }

  /** Writes an object as somebody else would. */
  write(name: ObjectName, fields: Fields): Fields {
    const metadata = isFields(fields["metadata"]) ? fields["metadata"] : {};
    const object = { ...fields, metadata: { ...metadata, resourceVersion: String(++this.#version) } };
    this.#objects.set(keyOf(name), structuredClone(object));
    return object;
  }

  #check(verb: Asked, name: ObjectName, { metadata }: Fields): void {
    const { metadata: current } = this.read(name);
    const [wanted, has] = [metadata, current].map((one) =>
      isFields(one) ? one["resourceVersion"] : undefined
    );
    if (wanted !== undefined && wanted !== has) throw refusal(verb, name, 409);
  }
}

/** Only webhooks' caBundles are ever applied. */
function applied(object: Fields, fields: Fields): Fields {
  const given = fields["webhooks"] as readonly { readonly name: string; readonly clientConfig: Fields }[];
  const webhooks = object["webhooks"] as readonly { readonly name: string; readonly clientConfig: Fields }[];
  return {
    ...object,
    webhooks: webhooks.map((one) => {
      const clientConfig = given.find(({ name }) => name === one.name)?.clientConfig ?? {};
      return { ...one, clientConfig: { ...one.clientConfig, ...clientConfig } };
    }),
  };
}

/** The error of a status. */
export function refusal(verb: Asked, { kind, name }: ObjectName, status: number): KubeApiError {
  return new KubeApiError(`${status} at ${verb} of ${kind} ${name}`, {
    status,
    reason: "",
    request: { verb, kind, server: "https://fake", identity: "nobody" },
  });
}

function keyOf({ kind, namespace = "", name }: ObjectName): string {
  return `${kind} ${namespace}/${name}`;
}
