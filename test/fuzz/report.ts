/** The result of a run, as a table for the terminal and as REPORT.md. No dates and no paths of this machine. */

import type { CampaignResult } from './campaign.ts'
import type { Target } from './target.ts'

export interface TargetResult {
  readonly target: Target
  readonly result: CampaignResult
}

const MIB = 1024 * 1024

const count = (number: number): string => number.toLocaleString('en-US')
const mib = (bytes: number): string => (bytes / MIB).toFixed(1)

const sum = (results: readonly TargetResult[], side: string | undefined, key: 'inputs' | 'bytes'): number =>
  results
    .filter(({ target }) => side === undefined || target.side === side)
    .reduce((all, { result }) => all + result[key], 0)

/** The most frequent first. */
const outcomesOf = ({ outcomes }: CampaignResult): [string, number][] =>
  Object.entries(outcomes).sort(([, a], [, b]) => b - a)

const findingLines = ({ target, result }: TargetResult): string[] =>
  result.findings.map(({ input, what }) => `${target.name} ${input}: ${what}`)

export const printTable = (results: readonly TargetResult[]): string => {
  const head = ['target', 'inputs', 'bytes', 'slowest ms', 'heap MiB', 'at once MiB', 'findings']
  const rows = results.map(({ target, result }) => [
    target.name,
    count(result.inputs),
    count(result.bytes),
    result.slowest.ms.toFixed(1),
    mib(result.heapGrowthBytes),
    mib(result.largestAllocationBytes),
    String(result.findings.length),
  ])
  const widths = head.map((title, at) => Math.max(title.length, ...rows.map((row) => row[at]?.length ?? 0)))
  const line = (row: readonly string[]): string =>
    row.map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0))).join('  ')
  return [
    line(head),
    ...rows.map(line),
    '',
    ...results.map(
      ({ target, result }) =>
        `${target.name}: ${outcomesOf(result)
          .map(([outcome, times]) => `${outcome} ${count(times)}`)
          .join(', ')}`,
    ),
    '',
    ...['server', 'client', 'host'].map(
      (side) => `${side}: ${count(sum(results, side, 'inputs'))} inputs, ${count(sum(results, side, 'bytes'))} bytes`,
    ),
    ...results.flatMap(findingLines).map((text) => `FINDING ${text}`),
    '',
  ].join('\n')
}

const SIDES = {
  server: 'what clients send to the agent',
  client: 'what agents send to the client',
  host: 'what lies on a host or comes from its programs',
} as const

/** @returns Markdown */
export const writeReport = (results: readonly TargetResult[], seed: string): string =>
  [
    '# What the fuzzer found',
    '',
    'Written by `npm run fuzz`; see the head of [main.ts](main.ts). Allowed is a valid reading, or a refusal with a code of the',
    'catalogue whose text can be shown; everything else is a finding. Findings must be 0 and decide the exit status. How long the',
    'slowest input took depends on the machine, which did other things as well; it decides nothing.',
    '',
    `Node ${process.versions.node.split('.')[0]}, seed \`${seed}\`.`,
    '',
    '| side | inputs | bytes | |',
    '|---|---:|---:|---|',
    ...(Object.keys(SIDES) as (keyof typeof SIDES)[]).map(
      (side) =>
        `| ${side} | ${count(sum(results, side, 'inputs'))} | ${count(sum(results, side, 'bytes'))} | ${SIDES[side]} |`,
    ),
    '',
    '| target | inputs | bytes | slowest, ms | heap growth, MiB | most at once, MiB | findings |',
    '|---|---:|---:|---:|---:|---:|---:|',
    ...results.map(
      ({ target: { name }, result }) =>
        `| [${name}](#${name}) | ${count(result.inputs)} | ${count(result.bytes)} | ${result.slowest.ms.toFixed(1)} | ${mib(result.heapGrowthBytes)} | ${mib(result.largestAllocationBytes)} | ${result.findings.length} |`,
    ),
    '',
    ...results.flatMap(chapter),
  ].join('\n')

const chapter = (one: TargetResult): string[] => [
  `## ${one.target.name}`,
  '',
  `${one.target.does.slice(0, 1).toUpperCase()}${one.target.does.slice(1)}.`,
  '',
  '| outcome | inputs |',
  '|---|---:|',
  ...outcomesOf(one.result).map(
    ([outcome, times]) => `| ${/^[A-Z_]+$/.test(outcome) ? `\`${outcome}\`` : outcome} | ${count(times)} |`,
  ),
  '',
  ...findingLines(one).flatMap((text) => [`- **${text.split('\n')[0]}**`, '']),
]
