import { appendContract } from "./append.ts";
import { Contract, type ContractOptions } from "./contract.ts";
import { readContract } from "./read.ts";
import { relayContract } from "./relay.ts";

export type { ContractException, ContractOptions } from "./contract.ts";
export { RecordingSink, eventually, type TestRunner } from "./harness.ts";

/** The tests that every backplane passes: what the hub relies on (packages/hub/src/backplane.ts). */
export function backplaneContract(options: ContractOptions): void {
  const contract = new Contract(options);
  options.test.describe(`${options.name} keeps the contract`, () => {
    options.test.afterAll(contract.leave);
    relayContract(contract);
    appendContract(contract);
    readContract(contract);
  });
}
