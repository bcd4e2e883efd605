// The program of one instance of `zuruf serve --instances N`.
import { runWorker } from "@zuruf/server";

runWorker();
