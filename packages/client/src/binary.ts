/** Packets as `zuruf.v1.bin`, for the option `codec`: smaller where most data is bytes, which travel as they are. */
export { binaryCodec } from "@zuruf/protocol";
