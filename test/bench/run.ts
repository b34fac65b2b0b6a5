import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { STATIC_WEB_CLIENT } from './bench-names.js';
import { type BenchCase, CASES, isJourneyCase, WARMING_CASE } from './cases.js';
import { Children } from './children.js';
import { Load, measureCase, type RoundPlan, type Rounds } from './measure.js';
import { type BenchOptions, parseOptions, USAGE } from './options.js';
import { boundLines, loadWarnings, table } from './report.js';
import { caseResult, judgeBounds } from './results.js';
import { inventClients, seedBare } from './seed-bare.js';
import { seedClaviger } from './seed-claviger.js';
import { freePortPair, type Side, startBare, startClaviger } from './sides.js';

const CLIENTS = 10_000;
const WARM_FOR = 2;
const QUICK_JOURNEY_PAIRS = 2;
const root = fileURLToPath(new URL('../../', import.meta.url));
const compiled = join(root, '.tmp/bench');
const clavigerMain = join(root, 'dist/src/cli/main.js');

const say = (line: string) => process.stderr.write(`bench: ${line}\n`);

/** The servers and the generator run as plain JavaScript: a compiler in their process would cost memory and time. */
function compile(): void {
  execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'test/bench'], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
}

async function prepareClaviger(workFolder: string) {
  if (!existsSync(clavigerMain)) throw new Error(`${clavigerMain} is missing: run "npm run build" first.`);
  const settings = {
    main: clavigerMain,
    port: await freePortPair(),
    databaseUrl: `sqlite:${join(workFolder, 'claviger.sqlite')}`,
    rootKey: randomBytes(32).toString('base64url'),
    environment: 'development',
  };
  const issuer = `http://localhost:${settings.port}`;
  return { settings, ...(await seedClaviger({ ...settings, issuer }, CLIENTS)) };
}

/** Starts what the chosen cases need; Claviger several times, since its start is measured too. */
async function startSides(
  options: BenchOptions,
  cases: readonly BenchCase[],
  children: Children,
  workFolder: string,
) {
  const claviger = options.isBareOnly ? undefined : await prepareClaviger(workFolder);
  const clients = claviger?.clients ?? inventClients(CLIENTS);
  const start = { children, workFolder, clients, webClient: claviger?.webClient ?? STATIC_WEB_CLIENT };
  const sides: Side[] = [];
  const readyMs: number[] = [];
  if (claviger) {
    // The first start may still have keys to make; ready is promised for an initialised database.
    await children.stop((await startClaviger(start, claviger.settings)).side.child);
    for (let round = 1; round <= options.starts; round += 1) {
      const started = await startClaviger(start, claviger.settings);
      readyMs.push(started.readyMs);
      if (round < options.starts) await children.stop(started.side.child);
      else sides.push(started.side, { ...started.side, name: 'claviger-plain' });
    }
    say(`claviger ready in ${readyMs.map(milliseconds => milliseconds.toFixed(0)).join(', ')} ms`);
  }
  const script = join(compiled, 'bare-provider.js');
  sides.push(await startBare(start, script));
  if (cases.some(benchCase => benchCase.sides.includes('bare-sqlite'))) {
    const file = join(workFolder, 'bare.sqlite');
    await seedBare(file, clients);
    sides.push(await startBare(start, script, file));
  }
  return { sides, readyMs };
}

async function warmUp(load: Load, sides: readonly Side[]): Promise<void> {
  for (const side of sides) {
    load.introduce(side);
    if (side.name === 'claviger-plain') continue;
    say(`warming up ${side.name}`);
    // Steady state is what is compared: each client has been seen once before the measuring starts.
    // The bare sides keep at most their last hundred clients, so a full pass changes nothing for them.
    const atLeast = side.name === 'claviger' ? side.clients.length : 0;
    await load.warm(side, await WARMING_CASE.prepare(side), WARM_FOR, atLeast);
  }
}

/** A round of people takes as long as they take: a quick run has fewer of them. */
function planOf(benchCase: BenchCase, { plan, isQuick }: BenchOptions): RoundPlan {
  if (!isQuick || !isJourneyCase(benchCase)) return plan;
  return { ...plan, pairs: Math.min(plan.pairs, QUICK_JOURNEY_PAIRS) };
}

async function bench(options: BenchOptions, children: Children, workFolder: string): Promise<boolean> {
  const startedAt = performance.now();
  const cases = CASES.filter(({ name }) => options.caseNames.includes(name));
  if (!children.isPinned) say('taskset or a second core is missing: nothing is pinned, figures are rough');
  say('compiling and seeding');
  compile();
  const { sides, readyMs } = await startSides(options, cases, children, workFolder);
  const load = new Load(children, join(compiled, 'load-generator.js'));
  await warmUp(load, sides);

  const measured = new Map<string, Rounds>();
  for (const benchCase of cases) {
    const plan = planOf(benchCase, options);
    say(`${benchCase.name}: ${plan.pairs} rounds of about ${plan.roundFor} s for each side`);
    const taking = sides.filter(side => benchCase.sides.includes(side.name));
    measured.set(benchCase.name, await measureCase(load, benchCase, taking, plan));
  }

  const results = [...measured].map(([name, rounds]) => caseResult(name, rounds));
  const bounds = judgeBounds(measured, readyMs);
  const seconds = (performance.now() - startedAt) / 1000;
  const remarks = [
    ...cases.flatMap(({ remark }) => remark ?? []),
    ...loadWarnings(results),
    ...(options.plan.pairs < 15
      ? [`${options.plan.pairs} pairs only: intervals are wide, see --pairs.`]
      : []),
    'Ratios are Claviger to that side: median of pairs (95 % interval). RSS is the highest seen under load.',
    `${CLIENTS} clients on claviger and bare-sqlite, one on bare; 32 connections where nothing else is said; took ${seconds.toFixed(0)} s.`,
  ];
  process.stdout.write(`${[table(results), '', ...remarks, '', boundLines(bounds)].join('\n').trimEnd()}\n`);
  if (options.jsonFile !== undefined) {
    const readyMedian = bounds.find(({ bound }) => bound.startsWith('ready'))?.median;
    const content = { cases: results, ready_ms: readyMedian ?? null, bounds, quick: options.isQuick };
    writeFileSync(options.jsonFile, `${JSON.stringify(content, undefined, 2)}\n`);
  }
  return bounds.every(({ passed }) => passed);
}

async function main(): Promise<number> {
  let options: BenchOptions;
  try {
    options = parseOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n${USAGE}`);
    return 2;
  }
  const children = new Children();
  const workFolder = mkdtempSync(join(tmpdir(), 'claviger-bench-'));
  process.once('exit', () => {
    children.killAll();
    rmSync(workFolder, { recursive: true, force: true });
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));
  try {
    return (await bench(options, children, workFolder)) ? 0 : 1;
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    return 1;
  } finally {
    await children.stopAll();
  }
}

process.exit(await main());
