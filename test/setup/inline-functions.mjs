/**
 * A module without calls: every function that is not exported is put where it is called.
 *
 *     (call $f A)   ▶   (block (result T) (local.set $f.7.x A) … the body of $f, its locals with new names … )
 *
 * The engines that run it do not do this by themselves. Knows just the text that we write: folded instructions, every
 * parameter and local with a name of its own.
 */

import { isHeader } from './wat-text.mjs'

/** @param module as `wat-text.mjs` parses it @returns another one */
export const inlineFunctions = ([head, ...fields]) => {
  const functions = new Map()
  for (const field of fields)
    if (field[0] === 'func')
      functions.set(
        field.find((part) => String(part).startsWith('$')),
        field,
      )
  const exported = fields.filter((field) => field[0] !== 'func' || has(field, 'export'))
  const written = exported.map((field) => (field[0] === 'func' ? expanded(field, functions) : field))
  return [head, ...written]
}

const has = (node, name) => node.some((part) => Array.isArray(part) && part[0] === name)

/** The exported function with nothing left to call. */
const expanded = (func, functions) => {
  const locals = []
  const body = func.filter((part) => !isHeader(part)).map((part) => withoutCalls(part, functions, locals))
  return [...func.filter(isHeader), ...locals, ...body]
}

const ZERO = { i32: ['i32.const', '0'], v128: ['v128.const', 'i64x2', '0', '0'] }

const withoutCalls = (node, functions, locals) => {
  if (!Array.isArray(node)) return node
  const parts = node.map((part) => withoutCalls(part, functions, locals))
  if (parts[0] !== 'call') return parts
  const [, name, ...args] = parts
  const callee = functions.get(name)
  if (callee === undefined) throw new Error(`${name} is called, and is not there`)
  const of = (kind) => callee.filter((part) => Array.isArray(part) && part[0] === kind)
  const mark = `${name}.${locals.length}.`
  const fresh = (word) => `${mark}${word.slice(1)}`
  const [params, own] = [of('param'), of('local')]
  for (const [, word, type] of [...params, ...own]) locals.push(['local', fresh(word), type])
  const renamed = (part) => {
    if (!Array.isArray(part)) return part
    if (/^local\.(get|set|tee)$/.test(part[0])) return [part[0], fresh(part[1]), ...part.slice(2).map(renamed)]
    return part.map(renamed)
  }
  return [
    'block',
    ...of('result'),
    ...params.map(([, word], index) => ['local.set', fresh(word), args[index]]),
    // A function begins with its locals at zero, and this one may be in a loop.
    ...own.map(([, word, type]) => ['local.set', fresh(word), ZERO[type]]),
    ...callee
      .filter((part) => !isHeader(part))
      .map(renamed)
      .map((part) => withoutCalls(part, functions, locals)),
  ]
}
