/**
 * Prints `N passed, N failed, N skipped` from the result that Jest left as JSON.
 *
 * A test file that could not be loaded counts as one failure, and so does a result that is
 * not there: a run without tests is not a good run.
 */

import { readFileSync } from 'node:fs'

/** Jest's result, or that of a run which failed before there was one. */
const readResult = (file) => {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    console.error(`no result of the tests: ${error.message}`)
    return { numPassedTests: 0, numFailedTests: 0, numRuntimeErrorTestSuites: 1, numPendingTests: 0, numTodoTests: 0 }
  }
}

const result = readResult(process.argv[2])
const passed = result.numPassedTests
const failed = result.numFailedTests + result.numRuntimeErrorTestSuites
const skipped = result.numPendingTests + result.numTodoTests

console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`)
if (failed > 0 || passed === 0) process.exitCode = 1
