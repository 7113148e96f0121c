/**
 * A module whose functions hold their vectors of constants in registers, loops or not.
 *
 *     (v128.const C)           ▶   (local.get $held.0), which was set once, at the beginning, from a global
 *     (i8x16.shuffle L A A)    ▶   (i8x16.swizzle A (local.get $lanes.0)), a constant
 *
 * V8 makes each constant anew where it is used, out of two words and three instructions, also inside of a loop: that took
 * base64 as long as all the rest. What comes from a global that could change is to V8 no constant, and what is
 * set before a loop stays where it is. The lanes of a shuffle stay a constant, one for all that use the same: where V8 knows
 * that none is above fifteen, it saves the look for that at each use, which costs more than to make them once a line.
 */

import { isHeader } from './wat-text.mjs'

/** @param module as `wat-text.mjs` parses it, without calls @returns another one */
export const holdConstants = ([head, ...fields]) => {
  const globals = new Map()
  const held = fields.map((field) => (field[0] === 'func' ? holding(field, globals) : field))
  return [
    head,
    ...[...globals].map(([text, name]) => ['global', name, ['mut', 'v128'], ['v128.const', ...text.split(' ')]]),
    ...held,
  ]
}

const holding = (func, globals) => {
  const locals = new Map()
  const lanes = new Map()
  const held = (words) => {
    const text = words.join(' ')
    if (!globals.has(text)) globals.set(text, `$constant.${globals.size}`)
    if (!locals.has(text)) locals.set(text, `$held.${locals.size}`)
    return ['local.get', locals.get(text)]
  }
  const constant = (words) => {
    const text = words.join(' ')
    if (!lanes.has(text)) lanes.set(text, `$lanes.${lanes.size}`)
    return ['local.get', lanes.get(text)]
  }
  const replaced = (node) => {
    if (!Array.isArray(node)) return node
    const parts = node.map(replaced)
    if (parts[0] === 'v128.const') return isZero(parts) ? parts : held(parts.slice(1))
    return parts[0] === 'i8x16.shuffle' ? swizzled(parts.slice(1), constant) : parts
  }
  const body = func.filter((part) => !isHeader(part)).map(replaced)
  return [
    ...func.filter(isHeader),
    ...[...locals.values(), ...lanes.values()].map((name) => ['local', name, 'v128']),
    ...[...lanes].map(([text, name]) => ['local.set', name, ['v128.const', ...text.split(' ')]]),
    ...[...locals].map(([text, name]) => ['local.set', name, ['global.get', globals.get(text)]]),
    ...body,
  ]
}

/** It is made without help. */
const isZero = (parts) => parts.slice(2).every((word) => word === '0')

const swizzled = (words, constant) => {
  const lanes = words.slice(0, 16)
  const [one, other] = words.slice(16)
  if (one[0] !== 'local.get' || one[1] !== other[1] || lanes.some((lane) => Number(lane) > 15)) {
    throw new Error('expected a shuffle of one local with itself')
  }
  return ['i8x16.swizzle', one, constant(['i8x16', ...lanes])]
}
