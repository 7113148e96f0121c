/** WebAssembly text as nested arrays of words, and back. Knows just the text that we write: folded instructions. */

/** Nested arrays of words; strings keep their quotes. */
export const parse = (text) => {
  const words = text.replace(/;;[^\n]*/g, '').match(/[()]|"[^"]*"|[^\s()"]+/g) ?? []
  let at = 0
  const list = () => {
    const items = []
    while (words[at] !== ')') {
      if (at >= words.length) throw new Error('a parenthesis is missing')
      if (words[at] === '(') {
        at += 1
        items.push(list())
      } else {
        items.push(words[at])
        at += 1
      }
    }
    at += 1
    return items
  }
  at += 1
  return list()
}

export const print = (node) => (Array.isArray(node) ? `(${node.map(print).join(' ')})` : node)

const HEADER = new Set(['export', 'param', 'result', 'local'])

/** Whether a part of a function stands before its instructions. */
export const isHeader = (part) => !Array.isArray(part) || HEADER.has(part[0])
