import { readFileSync } from 'node:fs'
import { describe, expect, test } from '@jest/globals'

import { parseRequestSession, parseSession, writeSession } from '../../lib/client/index.ts'

const MAGIC = '# kv-backup-agent wire session 1\n'
const session = (...lines: string[]): string => MAGIC + lines.map((line) => `${line}\n`).join('')

const FULL = session(
  '# what it shows',
  '> 0.76.1\\n',
  '>cut',
  '> password={password}\\n',
  '>pause 200',
  '> \\n',
  '>half-close',
  '< READY\\n',
  '< sid={sid}\\n',
  '<stream encoding=uuencode block-size=57 archive=whole engine=directory members=3 bytes=34304',
  '<member directory a b',
  '<member file a b/c\\x20d 12 3',
  '<member file e *',
  '<fin',
)

test('a session with everything in it is read, and written again it is the same text', () => {
  const parsed = parseSession(FULL)

  expect(parsed.steps.map(({ kind }) => kind)).toEqual([
    'comment',
    'send',
    'cut',
    'send',
    'pause',
    'send',
    'half-close',
    'answer',
    'answer',
    'stream',
    'end',
  ])
  expect(writeSession(parsed)).toBe(FULL.replace('c\\x20d', 'c d'))
})

test('a step knows its line, and blank lines are nothing', () => {
  const { steps } = parseSession(session('', '> a\\n', '', '', '<reset'))

  expect(steps.map(({ kind, line }) => [kind, line])).toEqual([
    ['send', 3],
    ['end', 6],
  ])
})

test('members carry names with blanks, sizes, or any size', () => {
  const stream = parseSession(FULL).steps.find((step) => step.kind === 'stream')

  expect(stream).toMatchObject({
    expected: {
      encoding: 'uuencode',
      blockBytes: 57,
      archive: 'whole',
      members: 3,
      memberList: [
        { type: 'directory', path: 'a b', line: 12 },
        { type: 'file', path: 'a b/c d 12', sizeBytes: 3 },
        { type: 'file', path: 'e', sizeBytes: undefined },
      ],
    },
  })
})

describe('a session file is refused, with the line, for', () => {
  test.each([
    ['nothing in it', '', 1, /first line/],
    ['another first line', '# hello\n<fin\n', 1, /found "# hello"/],
    ['another format', '# kv-backup-agent wire session 2\n<fin\n', 1, /expected session format 1, found 2/],
    ['a last line without its newline', `${MAGIC}<fin`, 2, /is the file whole/],
    ['CR LF', session('> a\\n\r', '<fin'), 2, /CR LF/],
    ['another first line with a control character', '# \u009bhello\n<fin\n', 1, /found "# \\x9bhello"/],
    ['a line of an unknown kind', session('* a', '<fin'), 2, /found "\* a"/],
    ['an unknown directive', session('>wait', '<fin'), 2, /found ">wait"/],
    ['a marker without its blank', session('>a\\n', '<fin'), 2, /expected "# ", "> "/],
    ['a blank at the end', session('> a ', '<fin'), 2, /\\x20/],
    ['bytes that are none', session('> a\\z', '<fin'), 2, /expected \\n/],
    ['a client that sends {text}', session('> {text}\\n', '<fin'), 2, /cannot send \{text\}/],
    ['a password in clear', session('> 0.76.1\\n', '> password=s3cUre\\n', '<fin'), 3, /in clear/],
    ['a password in clear, cut in two', session('> pass', '>cut', '> word=s3', '<fin'), 4, /in clear/],
    [
      'a token in clear',
      session('> 0.76.1\\n', '> agent-token=kvb_s3cUre\\n', '<fin'),
      3,
      /token stands here in clear/,
    ],
    ['a token in clear, cut in two', session('> agent-to', '>cut', '> ken=kvb', '<fin'), 4, /in clear/],
    ['a password with something before it', session('> password=x{password}\\n', '<fin'), 2, /in clear/],
    ['something behind >cut', session('>cut 3', '<fin'), 2, /nothing after >cut/],
    ['a pause without a number', session('>pause', '<fin'), 2, /1 to 60000 milliseconds/],
    ['a pause of more than a minute', session('>pause 60001', '<fin'), 2, /1 to 60000 milliseconds/],
    ['bytes of a client that closed its half', session('>half-close', '> a\\n', '<fin'), 3, /closed its half/],
    ['two newlines in an answer', session('< a\\nb\\n', '<fin'), 2, /one \\n/],
    ['an answer behind one without a newline', session('< a', '< b\\n', '<fin'), 3, /has no newline/],
    [
      'an answer behind the stream',
      session('<stream encoding=octet archive=cut', '< a\\n', '<fin'),
      3,
      /after a stream/,
    ],
    [
      'two streams',
      session('<stream encoding=octet archive=cut', '<stream encoding=octet archive=cut'),
      3,
      /one stream/,
    ],
    ['a stream of no encoding', session('<stream archive=cut', '<fin'), 2, /expected encoding=/],
    ['a stream of an unknown encoding', session('<stream encoding=zip archive=cut', '<fin'), 2, /expected encoding=/],
    ['a stream that may be anything', session('<stream encoding=octet', '<fin'), 2, /archive=whole or archive=cut/],
    ['an unknown word about a stream', session('<stream colour=red', '<fin'), 2, /found "colour=red"/],
    ['a word of every object about a stream', session('<stream constructor=1', '<fin'), 2, /found "constructor=1"/],
    ['a word twice', session('<stream encoding=octet encoding=octet', '<fin'), 2, /stands twice/],
    ['a number that is none', session('<stream encoding=octet archive=cut bytes=many', '<fin'), 2, /cannot be "many"/],
    ['a member without a stream', session('<member file a 1', '<fin'), 2, /expected <stream before/],
    ['a member without a size', session('<stream encoding=octet archive=cut', '<member file a'), 3, /PATH SIZE/],
    ['no end', session('> a\\n'), 2, /<fin or <reset/],
    ['something behind the end', session('<fin', '> a\\n'), 3, /nothing after the end/],
    ['two ends', session('<fin', '<reset'), 3, /nothing after the end/],
  ])('%s', (_, text, line, problem) => {
    const read = () => parseSession(text, 'some.session')

    expect(read).toThrow(expect.objectContaining({ code: 'SESSION_FILE_INVALID', facts: { line } }))
    expect(read).toThrow(problem)
    expect(read).toThrow(`some.session, line ${line}: `)
  })
})

test.each([
  '> agent-token={token}\\n',
  '> agent-token=\\n',
  '> password={password}\\n',
  '> password=\\n',
  '> mypassword=open\\n',
])('%s holds no secret', (line) => {
  expect(() => parseSession(session(line, '<fin'))).not.toThrow()
})

test('the client half needs no end', () => {
  const { steps } = parseRequestSession(session('> a\\n', '>half-close'))

  expect(steps.map(({ kind }) => kind)).toEqual(['send', 'half-close'])
})

test('a session cut at any byte is never taken for a whole one', () => {
  const text = readFileSync(new URL('../../../fixtures/wire/example-request.session', import.meta.url), 'latin1')

  for (let cutAt = 0; cutAt < text.length; cutAt += 1) {
    expect(() => parseSession(text.slice(0, cutAt))).toThrow(expect.objectContaining({ code: 'SESSION_FILE_INVALID' }))
  }
})
