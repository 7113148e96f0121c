import { describe, expect, test } from '@jest/globals'

import { DEFAULT_ENCODING, ENCODINGS, encodingFromMime } from '../../lib/encodings/index.ts'

describe('the name of an encoding', () => {
  test.each([
    ['application/x-uuencode-stream', 'uuencode'],
    ['application/x-base64-stream', 'base64'],
    ['application/octet-stream', 'octet'],
    ['Application/X-Base64-Stream', 'base64'],
  ])('%s on the wire is %s here', (mime, name) => {
    expect(encodingFromMime(mime)).toBe(name)
  })

  test('is uuencode when nobody says anything, because deployed clients say nothing', () => {
    expect(ENCODINGS[DEFAULT_ENCODING]).toBe('application/x-uuencode-stream')
  })

  test.each([
    ['another type', 'text/plain', '"text/plain"'],
    ['our own short name', 'base64', '"base64"'],
    ['nothing', '', '""'],
    ['spaces around it', ' application/octet-stream', '" application/octet-stream"'],
    ['a parameter', 'application/octet-stream; q=1', '"application/octet-stream; q=1"'],
    ['a word that every object knows', 'constructor', '"constructor"'],
    ['control bytes, which it shows escaped', 'a\u001b[2Jb', '"a\\u001b[2Jb"'],
    ['what turns the direction of writing, escaped too', 'a\u202eb\u009bc', '"a\\u202eb\\u009bc"'],
    ['a long text, which it shows in part', 'x'.repeat(5000), `"${'x'.repeat(80)}"`],
  ])('is refused when it is %s', (_, text, shown) => {
    expect(() => encodingFromMime(text)).toThrow(
      expect.objectContaining({
        code: 'ENCODING_UNKNOWN',
        message:
          'expected a stream encoding of application/x-uuencode-stream, application/x-base64-stream, ' +
          `application/octet-stream, found ${shown}`,
        facts: { found: shown, known: Object.values(ENCODINGS) },
      }),
    )
  })
})
