/**
 * Milliseconds from the beginning of one statement to that of the next, where many take turns: what a statement costs hardly depends on how much goes
 * with it, so at half of the highest rate, statements that begin as soon as they can would take as much of the processor as at the highest.
 */
export const pace = 4;

/** Resolves `pace` after this moment, at once if that is over. */
export async function paceFrom(begun: number): Promise<void> {
  const left = begun + pace - performance.now();
  if (left > 0) await new Promise((resolve) => setTimeout(resolve, left));
}
