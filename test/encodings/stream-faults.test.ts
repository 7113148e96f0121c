import { expect, test } from '@jest/globals'

import { showBytes } from '../../lib/encodings/stream-faults.ts'

test.each([
  ['printable characters as they are', 'az AZ09~`', '"az AZ09~`"'],
  ['a line feed by its usual name', '\n', '"\\n"'],
  ['quotes and backslashes escaped', '"\\', '"\\"\\\\"'],
  ['control bytes as numbers', '\u0000\u001b\r\u007f', '"\\x00\\x1b\\x0d\\x7f"'],
  ['bytes above ASCII as numbers', '\u0080\u00ff', '"\\x80\\xff"'],
  ['nothing as nothing', '', '""'],
])('shows %s', (_, bytes, shown) => {
  expect(showBytes(Buffer.from(bytes, 'latin1'))).toBe(shown)
})
