/**
 * Reads a session file, strictly: what it does not understand it refuses, with the line.
 *
 * A session that was misread would be a test that tests nothing. A client's half alone
 * (what a recording starts from) is read by the same rules, without an end. Pure.
 * Format: `recorded-session.ts`.
 */

import { BackupError } from '../errors/index.ts'
import {
  type ExpectedEndLine,
  type ExpectedMember,
  type ExpectedStream,
  type RecordedSession,
  SESSION_FORMAT,
  SESSION_MAGIC,
  type SessionStep,
  type WireText,
} from './recorded-session.ts'
import { parseStreamLine, parseMemberLine } from './recorded-session-stream-line.ts'
import { parseWireText, showText } from './recorded-session-text.ts'

/** The longest a client may be made to wait; longer than any deadline of an agent that is worth recording. */
const MAX_PAUSE_MILLISECONDS = 60_000

/** What may still come, in this order; `end` is final. */
type Phase = 'talk' | 'half-closed' | 'stream' | 'receipt' | 'end'

/** What these stand for is counted when the stream has come. */
const COUNTED: ReadonlySet<string> = new Set(['bytes', 'sha256'])

/**
 * @param file names the text in messages
 * @throws BackupError `SESSION_FILE_INVALID` with the line number
 */
export const parseSession = (text: string, file?: string): RecordedSession => {
  const parser = new SessionParser(file)
  parser.readAll(text)
  parser.expectEnd()
  return { file, steps: parser.steps }
}

/**
 * The client's half: of a file that holds nothing else, or of a whole session.
 *
 * @throws BackupError `SESSION_FILE_INVALID` with the line number
 */
export const parseRequestSession = (text: string, file?: string): RecordedSession => {
  const parser = new SessionParser(file)
  parser.readAll(text)
  return { file, steps: parser.steps }
}

class SessionParser {
  readonly steps: SessionStep[] = []
  readonly #file: string | undefined
  #line = 0
  #phase: Phase = 'talk'
  #members: ExpectedMember[] = []
  #endLines: ExpectedEndLine[] = []
  #stream: ExpectedStream | undefined
  #partialAnswer = false // an answer without a newline is the last thing an agent says

  constructor(file: string | undefined) {
    this.#file = file
  }

  readAll(text: string): void {
    const [first = '', ...others] = text.split('\n')
    this.#line = 1
    this.#readMagic(first)
    const afterLast = others.pop() // what stands behind the newline of the last line: nothing, if it has one
    for (const [index, line] of others.entries()) {
      this.#line = index + 2
      this.#read(line)
    }
    if (afterLast !== '') {
      this.#line = others.length + 2
      this.#fail('the last line has no newline: is the file whole?')
    }
    refuseClearSecrets(this.steps, (line, key): never => {
      this.#line = line
      const [what, expected] = key === 'password' ? ['password', '{password}'] : ['token', '{token}']
      return this.#fail(`a ${what} stands here in clear, expected ${expected}`)
    })
  }

  expectEnd(): void {
    const receipt = this.steps.find(({ kind }) => kind === 'receipt')
    if (receipt !== undefined && this.#stream === undefined) {
      this.#line = receipt.line
      this.#fail('expected <stream before >receipt')
    }
    if (this.#phase !== 'end') this.#fail('expected <fin or <reset as the last line, found the end of the file')
  }

  #readMagic(line: string): void {
    const number = line.startsWith(SESSION_MAGIC) ? line.slice(SESSION_MAGIC.length) : undefined
    if (number === String(SESSION_FORMAT)) return
    if (number !== undefined && /^\d+$/.test(number)) {
      this.#fail(`expected session format ${SESSION_FORMAT}, found ${number}: it needs another version of this program`)
    }
    this.#fail(`expected "${SESSION_MAGIC}${SESSION_FORMAT}" as the first line, found ${showText(line)}`)
  }

  #read(line: string): void {
    if (line === '') return
    if (line.endsWith('\r')) this.#fail('the line ends with CR LF, expected LF alone')
    if (line.startsWith('#')) this.steps.push({ kind: 'comment', line: this.#line, text: line.slice(1).trim() })
    else if (/[ \t]$/.test(line)) this.#fail('expected no blank at the end; one that counts is written \\x20')
    else if (this.#phase === 'end') this.#fail(`expected nothing after the end, found ${showText(line)}`)
    else if (line.startsWith('> ')) this.#readSend(line.slice(2))
    else if (line.startsWith('< ')) this.#readAnswer(line.slice(2))
    else this.#readDirective(line)
  }

  #readSend(text: string): void {
    const wire = this.#wireText(text)
    this.#expectTalking('the client closed its half before')
    const allowed = this.#phase === 'receipt' ? ['sid', 'bytes', 'sha256'] : ['password', 'token']
    for (const part of wire) {
      if (!Buffer.isBuffer(part) && !allowed.includes(part.placeholder)) {
        this.#fail(`the client cannot send {${part.placeholder}}, only {${allowed.join('}, {')}}`)
      }
    }
    this.steps.push({ kind: 'send', line: this.#line, text: wire })
  }

  #readAnswer(text: string): void {
    const wire = this.#wireText(text)
    if (this.#phase === 'stream' || this.#phase === 'receipt') this.#fail(AFTER_A_STREAM)
    if (this.#partialAnswer) this.#fail('expected <fin or <reset: the answer before has no newline')
    if (wire.some((part) => !Buffer.isBuffer(part) && COUNTED.has(part.placeholder))) {
      this.#fail('expected {bytes} and {sha256} behind a stream only')
    }
    this.#partialAnswer = !this.#isWholeLine(wire)
    this.steps.push({ kind: 'answer', line: this.#line, text: wire })
  }

  #readEndLine(text: string): void {
    if (this.#phase !== 'stream') this.#fail('expected <stream before <end')
    if (this.#stream?.encoding !== 'framed') this.#fail('only a stream in frames has an end frame')
    const wire = this.#wireText(text)
    if (!this.#isWholeLine(wire)) this.#fail('expected \\n at the end of a line of a block')
    this.#endLines.push({ line: this.#line, text: wire })
  }

  /** Whether the text ends with its newline; it may hold no other. */
  #isWholeLine(wire: WireText): boolean {
    const last = wire.at(-1)
    const bytes = Buffer.concat(wire.filter((part) => Buffer.isBuffer(part)))
    const newlineAt = bytes.indexOf(10)
    const isWhole = Buffer.isBuffer(last) && last.at(-1) === 10
    const isOnly = newlineAt === -1 || (newlineAt === bytes.length - 1 && isWhole)
    return isOnly ? isWhole : this.#fail('expected one \\n in an answer, at its end')
  }

  #readDirective(line: string): void {
    const [word = '', ...rest] = line.split(' ')
    switch (word) {
      case '>cut':
        this.#expectTalking('the client closed its half before')
        this.#bare(word, rest)
        this.steps.push({ kind: 'cut', line: this.#line })
        return
      case '>pause': {
        this.#expectTalking('the client closed its half before')
        const [number = ''] = rest
        if (rest.length !== 1 || !/^[1-9]\d{0,4}$/.test(number) || Number(number) > MAX_PAUSE_MILLISECONDS) {
          this.#fail(`expected >pause and 1 to ${MAX_PAUSE_MILLISECONDS} milliseconds, found ${showText(line)}`)
        }
        this.steps.push({ kind: 'pause', line: this.#line, milliseconds: Number(number) })
        return
      }
      case '>half-close':
        this.#expectTalking('the client closed its half before')
        this.#bare(word, rest)
        this.steps.push({ kind: 'half-close', line: this.#line })
        this.#phase = 'half-closed'
        return
      case '>receipt':
        if (this.#phase === 'stream' && this.#stream?.encoding !== 'framed') {
          this.#fail('only a stream in frames is answered with a receipt')
        }
        if (this.#phase === 'receipt') this.#fail('expected one >receipt')
        if (this.#phase !== 'stream') this.#expectTalking('the client closed its half before')
        this.#bare(word, rest)
        this.steps.push({ kind: 'receipt', line: this.#line })
        this.#phase = 'receipt'
        return
      case '<stream': {
        if (this.#stream !== undefined) this.#fail('expected one stream')
        if (this.#phase === 'receipt') this.#fail('expected <stream before >receipt')
        if (this.#partialAnswer) this.#fail('expected <fin or <reset: the answer before has no newline')
        this.#stream = parseStreamLine(rest, { memberList: this.#members, endLines: this.#endLines }, this.#fail)
        this.steps.push({ kind: 'stream', line: this.#line, expected: this.#stream })
        this.#phase = 'stream'
        return
      }
      case '<end':
        this.#readEndLine(line.slice('<end '.length))
        return
      case '<member':
        if (this.#phase !== 'stream') this.#fail('expected <stream before <member')
        this.#members.push(parseMemberLine(line.slice('<member '.length), this.#line, this.#fail))
        return
      case '<fin':
      case '<reset':
        this.#bare(word, rest)
        this.steps.push({ kind: 'end', line: this.#line, how: word === '<fin' ? 'fin' : 'reset' })
        this.#phase = 'end'
        return
      default:
        this.#fail(
          `expected "# ", "> ", "< ", >cut, >pause, >half-close, >receipt, <stream, <member, <end, <fin or <reset, found ${showText(line.slice(0, 40))}`,
        )
    }
  }

  #expectTalking(why: string): void {
    if (this.#phase === 'stream') this.#fail(AFTER_A_STREAM)
    if (this.#phase !== 'talk' && this.#phase !== 'receipt') this.#fail(why)
  }

  #bare(word: string, rest: readonly string[]): void {
    if (rest.length > 0) this.#fail(`expected nothing after ${word}`)
  }

  #wireText(text: string): WireText {
    const wire = parseWireText(text, this.#fail)
    return wire.length > 0 ? wire : this.#fail('expected bytes after the marker')
  }

  readonly #fail = (problem: string): never => {
    const where = this.#file === undefined ? `line ${this.#line}` : `${this.#file}, line ${this.#line}`
    throw new BackupError('SESSION_FILE_INVALID', `${where}: ${problem}`, { line: this.#line })
  }
}

const AFTER_A_STREAM = 'expected <member, <end, >receipt, <fin or <reset after a stream'

/** Looks at the client's bytes as the agent will see them, in lines, wherever the file breaks them. */
const refuseClearSecrets = (steps: readonly SessionStep[], fail: (line: number, key: string) => never): void => {
  let text = ''
  for (const step of steps) {
    if (step.kind !== 'send') continue
    text += step.text.map((part) => (Buffer.isBuffer(part) ? part.toString('latin1') : FILLED)).join('')
    const lines = text.split('\n')
    const clear = lines.map((line) => CLEAR_SECRET.exec(line)?.[1]).find((key) => key !== undefined)
    if (clear !== undefined) fail(step.line, clear)
    // Its beginning tells; a file of many pieces without a newline would be read again for each of them.
    text = (lines.at(-1) ?? '').slice(0, TELLING_CHARACTERS)
  }
}

/** Stands for a filled placeholder; no session text can hold it, for it is not a byte. */
const FILLED = '\u{f000}'
/** Some more than `agent-token=` and one character of it. */
const TELLING_CHARACTERS = 16
const CLEAR_SECRET = /^(password|agent-token)=(?=.)(?!\u{f000}$)/u
