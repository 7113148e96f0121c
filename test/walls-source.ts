/**
 * Reads of a TypeScript source just what the walls are about: its imports, and its code without
 * comments and without the contents of strings.
 *
 * Not a parser: it knows comments, strings, templates and regular expressions well enough not
 * to take their insides for code, and expects code that the formatter has been over.
 */

export interface Source {
  /** From the root of the checkout: `lib/protocol/index.ts`. */
  readonly path: string
  readonly text: string
}

export interface Import {
  /** What stands between the quotes. */
  readonly specifier: string
  readonly line: number
  /** `import type …` and `export type …`, which are gone when the program runs. */
  readonly isTypeOnly: boolean
}

/**
 * The text with every comment, and every character inside quotes or a regular expression,
 * replaced by a space. Offsets and lines stay what they were; quotes stay.
 */
export const blankOut = (text: string): string => {
  let code = ''
  let at = 0
  /** For each open `${`, how many `{` are open inside it. */
  const substitutions: number[] = []
  const blank = (end: number): void => {
    code += text.slice(at, end).replace(/[^\n]/g, ' ')
    at = end
  }
  const keep = (count = 1): void => {
    code += text.slice(at, at + count)
    at += count
  }
  /** Goes on inside a template, up to its end or its next substitution. */
  const template = (): void => {
    const end = indexAfter(text, at, /`|\$\{/y)
    const opens = text.startsWith('${', end)
    blank(end)
    keep(opens ? 2 : 1)
    if (opens) substitutions.push(0)
  }
  if (text.startsWith('#!')) blank(endOfLine(text, 0))
  while (at < text.length) {
    const two = text.slice(at, at + 2)
    const one = two[0] ?? ''
    if (two === '//') blank(endOfLine(text, at))
    else if (two === '/*') blank(indexOrEnd(text, '*/', at + 2) + 2)
    else if (one === '"' || one === "'") {
      keep()
      blank(indexAfter(text, at, one === '"' ? /"|\n/y : /'|\n/y))
      keep()
    } else if (one === '`') {
      keep()
      template()
    } else if (one === '/' && startsRegularExpression(code)) {
      keep()
      blank(endOfRegularExpression(text, at))
      keep()
    } else if (one === '}' && substitutions.at(-1) === 0) {
      substitutions.pop()
      keep()
      template()
    } else {
      const depth = substitutions.length - 1
      if (depth >= 0 && one === '{') substitutions[depth] = (substitutions[depth] ?? 0) + 1
      if (depth >= 0 && one === '}') substitutions[depth] = (substitutions[depth] ?? 0) - 1
      keep()
    }
  }
  return code
}

/** Every module that a source names: `import … from`, `export … from`, `import '…'`, `import('…')`, `import.meta.resolve`. */
export const findImports = ({ text }: Source): Import[] => {
  const code = blankOut(text)
  const found: Import[] = []
  // `[^'"`;]*?` spans the names of an import, which may take several lines, but not another statement.
  const patterns = [
    /(?<=^|\n)\s*(?:import|export)\b(?!\s*\()[^'"`;=]*?\bfrom\s*(['"])/g,
    /(?<=^|\n)\s*import\s*(['"])/g,
    /\bimport(?:\.meta\.resolve)?\s*\(\s*(['"`])/g,
    /\brequire\s*\(\s*(['"`])/g,
  ]
  for (const pattern of patterns) {
    for (const match of code.matchAll(pattern)) {
      const start = match.index + match[0].length
      const specifier = text.slice(start, code.indexOf(match[1] ?? '', start))
      const isTypeOnly = /^\s*(import|export)\s+type\b(?!\s*from\b)/.test(match[0])
      found.push({ specifier, line: lineOf(text, start), isTypeOnly })
    }
  }
  return found.sort((a, b) => a.line - b.line)
}

/** Line number of an offset; the first line is 1. */
export const lineOf = (text: string, offset: number): number => text.slice(0, offset).split('\n').length

const endOfLine = (text: string, from: number): number => indexOrEnd(text, '\n', from)

const indexOrEnd = (text: string, what: string, from: number): number => {
  const index = text.indexOf(what, from)
  return index === -1 ? text.length : index
}

/** Where a sticky pattern first matches at or after `from`, stepping over backslash and what it escapes. */
const indexAfter = (text: string, from: number, pattern: RegExp): number => {
  for (let at = from; at < text.length; at += 1) {
    if (text[at] === '\\') {
      at += 1
      continue
    }
    pattern.lastIndex = at
    if (pattern.test(text)) return at
  }
  return text.length
}

const endOfRegularExpression = (text: string, from: number): number => {
  let inClass = false
  for (let at = from; at < text.length; at += 1) {
    const one = text[at]
    if (one === '\\') at += 1
    else if (one === '[') inClass = true
    else if (one === ']') inClass = false
    else if (one === '\n' || (one === '/' && !inClass)) return at
  }
  return text.length
}

/** A slash divides after a value, and begins a regular expression after anything else. */
const startsRegularExpression = (codeBefore: string): boolean => {
  const before = codeBefore.trimEnd()
  if (/\b(return|typeof|case|in|of|await|yield|void)$/.test(before)) return true
  return !/[\w$)\]'"`}]$/.test(before)
}
