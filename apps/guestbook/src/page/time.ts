/** Readable times: relative within a week, then the date; the exact time for the tooltip. */
export interface TimeWords {
  /** "2 minutes ago"; times in the future (a clock that is ahead) count as now. */
  relative(time: number, now: number): string;
  exact(time: number): string;
}

const steps: readonly (readonly [unit: Intl.RelativeTimeFormatUnit, seconds: number])[] = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
];

/** @param locale a BCP 47 tag, such as a browser gives. */
export function timeWords(locale: string, justNow: string): TimeWords {
  const ago = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
  const date = new Intl.DateTimeFormat(locale, { dateStyle: "long" });
  const exact = new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "medium" });
  return {
    relative(time, now) {
      const seconds = (now - time) / 1000;
      if (seconds >= 7 * 86_400) return date.format(time);
      const step = steps.find(([, length]) => seconds >= length);
      return step === undefined ? justNow : ago.format(-Math.floor(seconds / step[1]), step[0]);
    },
    exact: (time) => exact.format(time),
  };
}
