import { cp } from "node:fs/promises";
import { startGuestbook, temporaryFolder, type TemporaryFolder } from "./service.ts";

/** An empty book, made once: creating the embedded database takes seconds, copying it does not. */
export interface BookTemplate {
  /** A working directory with a book of its own. */
  copy(): Promise<TemporaryFolder>;
  remove(): Promise<void>;
}

export async function bookTemplate(): Promise<BookTemplate> {
  const template = await temporaryFolder();
  await (await startGuestbook({ folder: template.path })).stop();
  return {
    async copy() {
      const folder = await temporaryFolder();
      await cp(template.path, folder.path, { recursive: true });
      return folder;
    },
    remove: () => template.remove(),
  };
}
