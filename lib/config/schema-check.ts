/**
 * Checks what a configuration file holds against the schema: every key, every value, all mistakes.
 *
 *     unknown keys, things that are no tables, names that cannot be     by the schema's own names
 *     values                                                            by valibot, with the schema's forms
 *
 * The names are looked at here because a checker that goes through an object with `in` knows a key
 * `constructor` in every table. Loaded only when there is a file.
 */

import { object, optional, pipe as inTurn, rawTransform, record, safeParse, string, unknown } from 'valibot'

import { showWire } from '../protocol/index.ts'
import type { OptionSet } from './option-set.ts'
import type { RoleValues } from './role.ts'
import { NAME, NAME_RULE, SETTINGS, type SettingValues, TABLES } from './schema.ts'
import type { Form } from './value-forms.ts'

/** What the file says, of the right form. */
export interface FileValues {
  readonly values: SettingValues
  readonly instances: Readonly<Record<string, SettingValues>>
  readonly binlogDirectories: readonly string[] | undefined
  readonly optionSets: Readonly<Record<string, OptionSet>>
  readonly roles: Readonly<Record<string, RoleValues>>
}

export interface FileMistake {
  readonly path: readonly string[]
  readonly message: string
  readonly unknown?: { readonly name: string; readonly known: readonly string[] }
}

type Table = Readonly<Record<string, unknown>>
type Keys = Readonly<Record<string, { readonly form: Form<unknown> }>>

const valueSchema = (form: Form<unknown>) =>
  inTurn(
    unknown(),
    rawTransform<unknown, unknown>(({ dataset, addIssue, NEVER }) => {
      const reading = form.fromFile(dataset.value)
      if ('value' in reading) return reading.value
      addIssue({ message: reading.problem })
      return NEVER
    }),
  )

const entriesOf = (keys: Keys) =>
  Object.fromEntries(Object.entries(keys).map(([key, { form }]) => [key, optional(valueSchema(form))]))
const tableSchema = (keys: Keys) => object(entriesOf(keys))

const FILE = object({
  ...entriesOf(SETTINGS),
  allow: optional(tableSchema(TABLES.allow)),
  instance: optional(record(string(), tableSchema(TABLES['instance.*']))),
  options: optional(record(string(), tableSchema(TABLES['options.*']))),
  role: optional(record(string(), tableSchema(TABLES['role.*']))),
})

/** Without a mistake the values are whole. */
export const checkFile = (table: Table): { readonly file: FileValues; readonly mistakes: readonly FileMistake[] } => {
  const mistakes = nameMistakes(table)
  const { output, issues = [] } = safeParse(FILE, table)
  for (const issue of issues) {
    const path = (issue.path ?? []).map(({ key }) => String(key))
    const isSaid = mistakes.some((one) => one.path.every((key, at) => key === path[at]))
    if (!isSaid) mistakes.push({ path, message: `${path.at(-1)}: ${issue.message}` })
  }
  const {
    allow = {},
    instance = {},
    options = {},
    role = {},
    ...values
  } = (mistakes.length === 0 ? output : {}) as RawFile
  mistakes.push(...optionSetMistakes(options))
  const file = {
    values,
    instances: instance,
    binlogDirectories: allow['binlog-directories'],
    optionSets: options,
    roles: role,
  }
  return { file, mistakes }
}

type RawFile = SettingValues & {
  readonly allow?: { readonly 'binlog-directories'?: readonly string[] }
  readonly instance?: Readonly<Record<string, SettingValues>>
  readonly options?: Readonly<Record<string, OptionSet>>
  readonly role?: Readonly<Record<string, RoleValues>>
}

const TABLE_NAMES = ['allow', 'instance', 'options', 'role'] as const

const nameMistakes = (table: Table): FileMistake[] => {
  const known = [...Object.keys(SETTINGS), ...TABLE_NAMES]
  const mistakes = unknownKeys(table, [], known)
  for (const name of TABLE_NAMES) {
    if (!Object.hasOwn(table, name)) continue
    const found = table[name]
    if (!isTable(found))
      mistakes.push({ path: [name], message: `${name}: expected a table, [${name}${name === 'allow' ? '' : '.NAME'}]` })
    else if (name === 'allow') mistakes.push(...unknownKeys(found, [name], Object.keys(TABLES.allow)))
    else for (const [own, one] of Object.entries(found)) mistakes.push(...namedTable(name, own, one))
  }
  return mistakes
}

/** Names that every object of JavaScript has: a checker may pass over them. */
const RESERVED = new Set(['constructor', 'prototype'])

const namedTable = (kind: 'instance' | 'options' | 'role', name: string, found: unknown): FileMistake[] => {
  const path = [kind, name]
  if (!isTable(found)) {
    return [
      {
        path,
        message: `${shownName(name)}: expected a table, [${kind}.NAME]; a key of an instance stands below its heading`,
      },
    ]
  }
  if (!NAME.test(name) || RESERVED.has(name)) return [{ path, message: `expected a name of ${NAME_RULE}` }]
  return unknownKeys(found, path, Object.keys(TABLES[`${kind}.*`]))
}

/** A key below a heading belongs to that table, which is not what everybody means who adds a line at the end. */
const unknownKeys = (table: Table, path: readonly string[], known: readonly string[]): FileMistake[] =>
  Object.keys(table)
    .filter((key) => !known.includes(key))
    .map((key) => {
      const belongsToTop = path.length > 0 && Object.hasOwn(SETTINGS, key)
      const place = path.length === 0 ? 'unknown key' : `unknown key of [${path.join('.')}],`
      const message = belongsToTop
        ? `${key} stands below [${path.join('.')}]; it belongs above the first [table]`
        : `${place} ${shownName(key)}`
      return { path: [...path, key], message, ...(belongsToTop ? {} : { unknown: { name: key, known } }) }
    })

/** In quotes TOML lets a name hold anything, also what a terminal would obey. */
const shownName = (name: string): string => (/^[\w.-]{1,64}$/.test(name) ? name : showWire(name))

const isTable = (value: unknown): value is Table =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)

/** What a client sends must mean one set alone. */
const optionSetMistakes = (sets: Readonly<Record<string, OptionSet>>): FileMistake[] => {
  const mistakes: FileMistake[] = []
  const seen = new Map(Object.keys(sets).map((name) => [name, name]))
  for (const [name, { args, match }] of Object.entries(sets)) {
    if (args === undefined) mistakes.push({ path: ['options', name], message: `[options.${name}] lacks args` })
    const other = match === undefined ? undefined : seen.get(match)
    if (match !== undefined && other !== undefined && other !== name) {
      mistakes.push({ path: ['options', name, 'match'], message: `match: means [options.${other}] already` })
    } else if (match !== undefined) seen.set(match, name)
  }
  return mistakes
}
