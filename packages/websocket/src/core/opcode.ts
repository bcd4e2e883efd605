/** Frame opcodes, RFC 6455 §5.2. Bit 3 set means a control frame. */
export const Opcode = {
  continuation: 0x0,
  text: 0x1,
  binary: 0x2,
  close: 0x8,
  ping: 0x9,
  pong: 0xa,
} as const;

/** One of the six opcodes RFC 6455 defines. */
export type Opcode = (typeof Opcode)[keyof typeof Opcode];

/** Bits of a frame's first byte beside the opcode, RFC 6455 §5.2 and RFC 7692 §6. */
export const FrameBit = {
  fin: 0x80,
  /** Set on the first frame of a compressed message. */
  compressed: 0x40,
} as const;
