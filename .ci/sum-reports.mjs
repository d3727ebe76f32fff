// Sums vitest's JSON reports into the last line of CI: "N passed, N failed". Exits 1 when a report
// is missing, anything failed, or nothing passed. It cannot see unhandled errors, which only vitest's
// exit code tells; .ci/run looks at both. Plain JavaScript for any Node: `npm ci` may have failed.
import { readFileSync } from 'node:fs';

let passed = 0;
let failed = 0;
let broken = false;

for (const path of process.argv.slice(2)) {
  let report;
  try {
    report = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    process.stdout.write(`no report: ${error.message}\n`);
    broken = true;
    continue;
  }
  // A file that cannot be loaded fails without a failed test of its own.
  const unloaded = report.testResults.filter(
    (file) =>
      file.status === 'failed' && !file.assertionResults.some((it) => it.status === 'failed'),
  );
  for (const file of unloaded) process.stdout.write(`failed as a whole: ${file.name}\n`);
  // There are no skips: a test that did not run has not passed.
  const skipped = report.numPendingTests + report.numTodoTests;
  if (skipped > 0) process.stdout.write(`${skipped} skipped in ${path}\n`);
  if (report.numTotalTests === 0) process.stdout.write(`no tests in ${path}\n`);
  if (!report.success) broken = true;
  passed += report.numPassedTests;
  failed += report.numFailedTests + unloaded.length + skipped;
}

process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exitCode = broken || failed > 0 || passed === 0 ? 1 : 0;
