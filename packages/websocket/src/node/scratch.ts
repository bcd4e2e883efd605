const SIZE = 64 * 1024;
/** What grew for one large message is given back after it. */
const LARGEST_KEPT = 1024 * 1024;

let scratch: Buffer = Buffer.allocUnsafeSlow(SIZE);

/** Memory for one synchronous piece of work at a time; valid until the next one starts. */
export function takeScratch(): Buffer {
  if (scratch.length > LARGEST_KEPT) scratch = Buffer.allocUnsafeSlow(SIZE);
  return scratch;
}

/** The memory that the current piece of work has taken, and perhaps grown. */
export function currentScratch(): Buffer {
  return scratch;
}

/** The same with room for more: its first `used` bytes are kept. @param most it never grows beyond this many bytes. */
export function growScratch(used: number, most: number): Buffer {
  const larger = Buffer.allocUnsafeSlow(Math.min(most, scratch.length * 2));
  scratch.copy(larger, 0, 0, used);
  scratch = larger;
  return larger;
}
