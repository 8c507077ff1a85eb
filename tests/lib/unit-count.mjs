// Adds up the lines `unit: N passed, N failed` in Meson's log of a run. A program that crashed, timed out
// or printed no such line counts as one failure more.
import { readFileSync } from 'node:fs';

let passed = 0;
let failed = 0;
let programs = 0;

for (const line of readFileSync(process.argv[2], 'utf8').split('\n')) {
  if (!line)
    continue;
  const test = JSON.parse(line);
  const sum = /^unit: (\d+) passed, (\d+) failed$/m.exec(test.stdout ?? '');
  programs++;
  passed += sum ? Number(sum[1]) : 0;
  if (!sum || (test.result !== 'OK' && sum[2] === '0')) {
    failed++;
    console.log(`FAIL ${test.name}: ${test.result}, exit ${test.returncode}${sum ? '' : ', no summary'}`);
  }
  failed += sum ? Number(sum[2]) : 0;
}
console.log(`unit: ${passed} passed, ${failed} failed`);
process.exitCode = failed || !programs ? 1 : 0;
