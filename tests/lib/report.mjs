// Reporter for `node --test`: one line per test, the whole reason when one fails, and the sum as
// `node: N passed, N failed`. The sum counts tests only, not files or suites; a file that dies outside of a
// test counts as one failure.
import { inspect } from 'node:util';
import { basename } from 'node:path';

const indent = (text) => text.split('\n').map((line) => `     ${line}`).join('\n');

function reason(error) {
  const cause = error?.cause ?? error;
  return typeof cause === 'string' ? cause : cause?.stack ?? inspect(cause);
}

// A file stands in the stream as a test named by its path, after its own tests.
const isFile = (data) => data.name.endsWith('.mjs');
// A suite, a parent or a file that fails because of a test inside it: that one is counted already.
const isEcho = (data, failedFiles) => data.details.error?.failureType === 'subtestsFailed'
  || (isFile(data) && failedFiles.has(data.file));
const isCounted = (data) => !isFile(data) && data.details?.type !== 'suite';

export default async function* report(events) {
  const count = { passed: 0, failed: 0, skipped: 0 };
  const failures = [];
  const failedFiles = new Set();

  for await (const { type, data } of events) {
    if (type === 'test:stdout' || type === 'test:stderr') {
      yield data.message;
    } else if (type === 'test:pass' && isCounted(data)) {
      const skip = data.skip ?? data.todo;
      count[skip === undefined ? 'passed' : 'skipped']++;
      yield skip === undefined ? `ok   ${data.name} (${Math.round(data.details.duration_ms)} ms)\n`
        : `skip ${data.name} # ${skip}\n`;
    } else if (type === 'test:fail' && !isEcho(data, failedFiles)) {
      const text = `FAIL ${data.name} [${basename(data.file ?? '')}]\n${indent(reason(data.details.error))}\n`;
      failedFiles.add(data.file);
      count.failed++;
      failures.push(text);
      yield text;
    }
  }
  if (failures.length > 1)
    yield `\nThe ${failures.length} failures again:\n\n${failures.join('\n')}`;
  const skipped = count.skipped ? `, ${count.skipped} skipped` : '';
  yield `node: ${count.passed} passed, ${count.failed} failed${skipped}\n`;
}
