// A stage by somebody who has only the README and the public header: it compiles, passes check and runs.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { finished, order, place, state } from '../lib/orders.mjs';
import { fastPipelineText, pipelineFile } from '../lib/pipeline.mjs';
import { root, startStageline, temporaryFolder } from '../lib/stageline.mjs';

const MAX_LINES = 60;

test('the_stage_of_the_readme_compiles_alone_and_runs_among_the_shipped_ones', async () => {
  const source = /^```c\n([^]*?)^```$/m.exec(readFileSync(join(root, 'README.md'), 'utf8'))[1];
  const stages = join(temporaryFolder(), 'stages');
  mkdirSync(stages, { mode: 0o755 });
  writeFileSync(join(stages, 'gift.c'), source);
  execFileSync('cc', ['-std=c17', '-Wall', '-Wextra', '-Werror', '-I', join(root, 'core/include'), '-shared', '-fPIC',
    '-fvisibility=hidden', '-Wl,-z,defs', '-o', join(stages, 'gift.so'), join(stages, 'gift.c')]);
  assert.ok(source.split('\n').length <= MAX_LINES, 'it is on one screen');

  const pipeline = pipelineFile(fastPipelineText().replace('state:\n', 'state:\n  gifts: 1\n')
    + '  - {name: gift, plugin: gift, status: wrapping, event: gift_added, undo_event: gift_removed}\n');
  const s = await startStageline({ pipeline, flags: ['--plugins', stages] });
  const first = await finished(s, (await place(s, order())).id);
  const second = await finished(s, (await place(s, order())).id);

  assert.equal(first.events.at(-2).event_type, 'gift_added');
  assert.equal(first.events.at(-2).message, 'A gift was put in');
  assert.match(second.order.error, /insufficient gifts/);
  assert.equal(second.order.status, 'failed');
  assert.equal((await state(s, 'gifts')).gifts, 0);
  assert.equal((await state(s, 'stock/'))['stock/PROD-002'], 49);
  assert.equal(await s.stop(), 0);
});
