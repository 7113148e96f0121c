/**
 * The parts of README.md that are made from the code: the help texts, the table of settings, the table of exit
 * codes, and the statements that the agent runs on a server.
 *
 * `npm run docs` writes them into the file, a test compares. Pure apart from reading README.
 */

import { readFileSync } from 'node:fs'
import type { Command } from 'commander'

import { environmentName, optionName, SETTING_KEYS, settingOf, TABLES } from '../../lib/config/index.ts'
import { agentProgram, clientProgram } from '../../lib/cli/index.ts'
import { CATALOGUE, EXIT_MEANING } from '../../lib/errors/index.ts'
import { STATEMENTS } from '../../lib/server/index.ts'

export const README = new URL('../../../README.md', import.meta.url)

/** `NUMBER | meaning | codes`, one row an exit status. */
const exitCodes = (): string => {
  const rows = Object.entries(EXIT_MEANING).map(([status, meaning]) => {
    const codes = Object.entries(CATALOGUE).filter(([, { exit }]) => exit === Number(status))
    return `| ${status} | ${meaning} | ${codes.map(([code]) => `\`${code}\``).join(' ')} |`
  })
  return ['| status | meaning | codes |', '|---|---|---|', ...rows].join('\n')
}

const help = (program: Command, name: string): string => {
  const command = program.commands.find((one) => one.name() === name)
  if (command === undefined) throw new Error(`no command ${name}`)
  let text = ''
  command.configureHelp({ helpWidth: 118 }).configureOutput({
    writeOut: (part) => {
      text += part
    },
  })
  command.outputHelp()
  return `\`\`\`\n${text.trimEnd()}\n\`\`\``
}

const statements = (): string => {
  const rows = Object.values(STATEMENTS).map(({ sql, why }) => `| \`${sql}\` | ${why} |`)
  return ['| statement | why |', '|---|---|', ...rows].join('\n')
}

/** `key | option | variable | default | what`, one row a setting; then what stands in tables of the file. */
const settings = (): string => {
  const rows = SETTING_KEYS.map((key) => {
    const { help, form, isFileOnly, defaultText, default: value, scope, needsRestart } = settingOf(key)
    const option = isFileOnly ? '' : `\`${optionName(key)}\``
    const variable = isFileOnly ? '' : `\`${environmentName(key)}\``
    const shown = defaultText ?? (value === undefined ? '' : form.show(value))
    const marks = `${scope === 'server' ? ' (S)' : ''}${needsRestart ? ' (R)' : ''}`
    return `| \`${key}\`${marks} | ${option} | ${variable} | ${shown} | ${help} |`
  })
  const tables = Object.entries(TABLES).flatMap(([table, keys]) =>
    table === 'instance.*'
      ? []
      : Object.entries(keys).map(
          ([key, { help }]) => `| \`${key}\` in \`[${table.replace('*', 'NAME')}]\` | | | | ${help} |`,
        ),
  )
  return ['| key | option | variable | default | what |', '|---|---|---|---|---|', ...rows, ...tables].join('\n')
}

const PARTS: readonly (readonly [begin: string, end: string, text: () => string])[] = [
  ['<!-- help: backup-agent serve -->', '<!-- /help -->', () => help(agentProgram(), 'serve')],
  ['<!-- help: backup-client fetch -->', '<!-- /help -->', () => help(clientProgram(), 'fetch')],
  ['<!-- settings -->', '<!-- /settings -->', settings],
  ['<!-- exit-codes -->', '<!-- /exit-codes -->', exitCodes],
  ['<!-- statements -->', '<!-- /statements -->', statements],
]

/** README as it should be: everything between a pair of markers made anew. */
export const readmeWithParts = (readme = readFileSync(README, 'utf8')): string => {
  let text = readme
  for (const [begin, end, make] of PARTS) {
    const from = text.indexOf(begin)
    const to = text.indexOf(end, from)
    if (from === -1 || to === -1) throw new Error(`README.md lacks ${begin} … ${end}`)
    text = `${text.slice(0, from + begin.length)}\n${make()}\n${text.slice(to)}`
  }
  return text
}
