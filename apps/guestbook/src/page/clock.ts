import { useSignal, type ReadonlySignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

/** The time in milliseconds since 1970, renewed every `period` milliseconds and whenever the page comes back into view. */
export function useNow(period: number): ReadonlySignal<number> {
  const now = useSignal(Date.now());
  useEffect(() => {
    const renew = (): void => {
      now.value = Date.now();
    };
    renew();
    const timer = setInterval(renew, period);
    document.addEventListener("visibilitychange", renew);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", renew);
    };
  }, [period]);
  return now;
}
