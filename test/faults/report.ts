/** The result of a run, as a table for the terminal and as REPORT.md. No dates and no paths of this machine. */

import { release } from 'node:os'

import { mustRun } from '../rig/run-program.ts'
import type { Scenario } from './scenario.ts'
import { CHARGES, type Charge, type Tally } from './tally.ts'

export interface ScenarioResult {
  readonly scenario: Scenario
  readonly tally: Tally
  readonly seconds: number
}

const KINDS = Object.keys(CHARGES) as Charge[]

const total = (results: readonly ScenarioResult[], count: (tally: Tally) => number): number =>
  results.reduce((sum, { tally }) => sum + count(tally), 0)

/** Scenarios, their numbers, every charge, and the totals. */
export const printTable = (results: readonly ScenarioResult[]): string => {
  const lines = results.flatMap(({ scenario: { name }, tally }) => [
    `${name.padEnd(20)} ${String(tally.injections).padStart(8)} injections  ${tally.isClean ? 'clean' : 'NOT CLEAN'}`,
    ...tally.skipped.map((why) => `    skipped: ${why}`),
    ...tally.notes.map((note) => `    ${note}`),
    ...KINDS.flatMap((kind) => shortened(tally.charges(kind)).map((what) => `    ${CHARGES[kind]}: ${what}`)),
  ])
  const totals = KINDS.map((kind) => `${CHARGES[kind]}: ${total(results, (tally) => tally.charges(kind).length)}`)
  return [...lines, '', `injections: ${total(results, ({ injections }) => injections)}`, ...totals, ''].join('\n')
}

/** @returns Markdown */
export const writeReport = async (results: readonly ScenarioResult[], seed: string): Promise<string> => {
  const injections = total(results, ({ injections }) => injections)
  const withServer = total(results, ({ withServer }) => withServer)
  return [
    '# What the fault runner found',
    '',
    'Written by `npm run faults`; see the head of [main.ts](main.ts). Numbers marked "must be 0" decide its exit status.',
    '',
    `${(await versions()).join(', ')}; Linux ${release().split('.').slice(0, 2).join('.')}, ${process.arch}. Seed \`${seed}\`.`,
    '',
    '| | | |',
    '|---|---:|---|',
    `| faults injected | ${injections} | ${withServer} of them with a real MariaDB server behind the agent |`,
    ...KINDS.map(
      (kind) => `| ${CHARGES[kind]} | ${total(results, (tally) => tally.charges(kind).length)} | must be 0 |`,
    ),
    '',
    '| scenario | row of the matrix | injections | result |',
    '|---|---|---:|---|',
    ...results.map(
      ({ scenario: { name, fault }, tally }) =>
        `| [${name}](#${name}) | ${fault} | ${tally.injections} | ${result(tally)} |`,
    ),
    '',
    ...results.flatMap(chapter),
  ].join('\n')
}

const result = (tally: Tally): string => {
  const charged = KINDS.filter((kind) => tally.charges(kind).length > 0)
  if (charged.length > 0) return charged.map((kind) => `**${tally.charges(kind).length} ${CHARGES[kind]}**`).join(', ')
  return tally.injections === 0 ? 'skipped' : tally.skipped.length > 0 ? 'clean, a part skipped' : 'clean'
}

const chapter = ({ scenario: { name, does }, tally }: ScenarioResult): string[] => [
  `## ${name}`,
  '',
  `${does.slice(0, 1).toUpperCase()}${does.slice(1)}.`,
  '',
  ...list(tally.skipped.map((why) => `Skipped: ${why}`)),
  ...list(tally.notes),
  ...list(
    KINDS.flatMap((kind) => shortened(tally.charges(kind)).map((what) => `**${CHARGES[kind]}**: ${firstLine(what)}`)),
  ),
  ...tally.tables.flatMap((table) => [table, '']),
]

const list = (items: readonly string[]): string[] =>
  items.length === 0 ? [] : [...items.map((item) => `- ${item}`), '']

const firstLine = (text: string): string => text.split('\n')[0] ?? ''

/** Thousands of charges of one kind say no more than the first ones. */
const shortened = (charges: readonly string[], most = 12): string[] =>
  charges.length <= most ? [...charges] : [...charges.slice(0, most), `… and ${charges.length - most} more`]

const versions = async (): Promise<string[]> => {
  const asked = [
    ['mariadbd', /Ver (\S+)/, 'mariadbd'],
    ['mariadb-backup', /server (\S+)/, 'mariadb-backup'],
  ] as const
  const answers = await Promise.all(
    asked.map(async ([program, version, name]) => {
      const { stdout, stderr } = await mustRun(program, ['--version'])
      return `${name} ${version.exec(stdout.toString() + stderr)?.[1] ?? '?'}`
    }),
  )
  return [`Node ${process.versions.node.split('.').slice(0, 2).join('.')}`, ...answers]
}
