/** Where a connection stands after its opening handshake, RFC 6455 §7.1. */
export type State = "open" | "closeSent" | "closeReceived" | "closed" | "failed";

/** What moves a connection on. */
export type Step = "sendClose" | "receiveClose" | "fail" | "end";

/**
 * The life of a connection, whichever side it is on. A step that a state does not list must not happen in it.
 *
 * - RFC 6455 §5.5.1: who receives a close frame answers with one, unless it has sent one already.
 * - RFC 6455 §7.1.5: when the stream ends before both close frames were exchanged, the close was not clean.
 */
export const transitions: Readonly<Record<State, Readonly<Partial<Record<Step, State>>>>> = {
  open: { sendClose: "closeSent", receiveClose: "closeReceived", fail: "failed", end: "failed" },
  closeSent: { receiveClose: "closed", fail: "failed", end: "failed" },
  closeReceived: { sendClose: "closed", fail: "failed", end: "failed" },
  closed: { end: "closed" },
  failed: { end: "failed" },
};

/** Whether what arrives is still read. RFC 6455 §5.5.1: nothing follows a close frame; §7.1.7: nothing is read after a failure. */
export const reads: Readonly<Record<State, boolean>> = {
  open: true,
  closeSent: true,
  closeReceived: false,
  closed: false,
  failed: false,
};
