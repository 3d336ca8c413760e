/**
 * Said when the agent cannot listen for Envoy.
 * @module
 */

/** The ADS address cannot be used. The message is one sentence for the operator. */
export class AdsAddressError extends Error {
  override readonly name = "AdsAddressError";
}
