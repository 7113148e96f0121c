/** The results as tables: for the terminal, and as REPORT.md. No dates, and no names of machines. */

import { readFileSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'

import type { Row } from './row.ts'
import type { Figure, RowResult, Standing } from './turns.ts'

export interface Measured {
  readonly row: Row
  readonly result: RowResult
}

const number = (value: number): string => {
  const digits = value >= 1000 ? 0 : value >= 100 ? 1 : 2
  return value.toFixed(digits)
}

const spread = ({ median, least, most }: Figure): string => `${number(median)} (${number(least)} – ${number(most)})`

/** Whether what was wanted is reached; undefined when nothing was. */
const reached = ({ ratio, goal }: Standing): boolean | undefined =>
  ratio === undefined || goal === undefined ? undefined : ratio.median >= goal

export const printTable = (measured: readonly Measured[]): string =>
  measured
    .flatMap(({ row, result }) => [
      `${row.name}: ${row.does} (${row.unit}, ${result.turns} turns)`,
      ...result.standings.map(({ name, is, figure, ratio, goal }) => {
        const against =
          ratio === undefined
            ? is
            : `${is === 'peer' ? 'ours is ' : ''}${spread(ratio)} times as good${goal === undefined ? '' : `, wanted ${goal}`}`
        return `    ${name.padEnd(38)} ${spread(figure).padStart(28)}   ${against}`
      }),
    ])
    .join('\n')

/** @returns Markdown */
export const writeReport = (measured: readonly Measured[]): string => {
  const chapters = [...new Set(measured.map(({ row }) => row.chapter))]
  return [
    '# How fast it is',
    '',
    'Written by `npm run bench`; see the head of [main.ts](main.ts). Ours and its peers do the same work in turn in the same run, and the',
    'work is checked each time. A figure is the median of its turns, in brackets the least and the most. A ratio is made turn by',
    'turn; above 1 ours is the better one.',
    '',
    machine(),
    '',
    ...chapters.flatMap((chapter) => [
      `## ${chapter}`,
      '',
      ...(chapter === 'Memory' ? ['![memory by size of the backup and by connections](memory.svg)', ''] : []),
      ...chapterOf(measured.filter(({ row }) => row.chapter === chapter)),
    ]),
  ].join('\n')
}

const chapterOf = (measured: readonly Measured[]): string[] => [
  '| row | | figure | ratio | wanted | |',
  '|---|---|---:|---:|---:|---|',
  ...measured.flatMap(({ row, result }) => result.standings.map((standing) => line(row, standing))),
  '',
  ...measured.flatMap(({ row, result }) => [
    `**${row.name}**: ${row.does}. ${result.turns} turns.`,
    '',
    `*Limit:* ${row.limit}`,
    '',
  ]),
]

const line = (row: Row, standing: Standing): string => {
  const { name, is, figure, ratio, goal } = standing
  const isOurs = is === 'ours'
  const own = isOurs && row.wanted !== undefined ? ownGoal(row, figure) : undefined
  const met = own?.met ?? reached(standing)
  const cells = [
    isOurs ? `**${row.name}**` : '',
    is === 'limit' ? `limit: ${name}` : isOurs ? `**${name}**` : name,
    `${spread(figure)} ${row.unit}`,
    ratio === undefined ? '' : `${spread(ratio)}`,
    own?.text ?? (goal === undefined ? '' : `${goal} ×`),
    met === undefined ? '' : met ? 'reached' : '**not reached**',
  ]
  return `| ${cells.join(' | ')} |`
}

const ownGoal = ({ better, wanted = 0, unit }: Row, { median }: Figure): { text: string; met: boolean } =>
  better === 'more'
    ? { text: `≥ ${wanted} ${unit}`, met: median >= wanted }
    : { text: `≤ ${wanted} ${unit}`, met: median <= wanted }

/** What a figure depends on, in words that name no machine. */
const machine = (): string => {
  const cores = cpus().length
  const memory = Math.round(totalmem() / 2 ** 30)
  const node = process.versions.node.split('.').slice(0, 2).join('.')
  const kernel = release().split('.').slice(0, 2).join('.')
  return `${cores} cores of ${process.arch} with ${features()}, ${memory} GiB of memory; Node ${node}, Linux ${kernel}.`
}

const features = (): string => {
  const flags = new Set(/^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1]?.trim().split(' '))
  const known = [
    ['avx2', 'AVX2'],
    ['avx512f', 'AVX-512'],
    ['sha_ni', 'instructions for SHA'],
    ['pclmulqdq', 'carry-less multiplication'],
  ] as const
  const found = known.filter(([flag]) => flags.has(flag)).map(([, name]) => name)
  return found.length === 0 ? 'no special instructions' : found.join(', ')
}
