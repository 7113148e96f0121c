import { expect, test } from '@jest/globals'

import { checkSafePath } from '../../lib/archive/index.ts'

test.each([
  'ibdata1',
  'db/t.ibd',
  './db/t.ibd',
  'with space/a b.frm',
  'bücher/größe.ibd',
  '.hidden',
  'db/..t',
  'db/...',
  '#sql-ib12.ibd',
  '-rf',
  'a'.repeat(255),
  `${'d'.repeat(255)}/`.repeat(15) + 'f'.repeat(255),
  `${'d/'.repeat(63)}f`,
])('lets a plain relative path through: %s', (path) => {
  const safe = checkSafePath(path)

  expect(safe).toBe(path.replace(/^\.\//, ''))
})

test.each([
  ['nothing', '', 'empty'],
  ['only a dot and a slash', './', 'empty'],
  ['an absolute path', '/etc/passwd', 'absolute'],
  ['an absolute path behind a dot', './/etc/passwd', 'absolute'],
  ['a climb at the start', '../x', 'climbs'],
  ['a climb in the middle', 'a/../../x', 'climbs'],
  ['a climb at the end', 'a/..', 'climbs'],
  ['a climb behind a dot', './../x', 'climbs'],
  ['the directory itself', '.', 'component "."'],
  ['a dot in the middle', 'a/./b', 'component "."'],
  ['two dots and slashes at the start', '././a', 'component "."'],
  ['an empty component', 'a//b', 'empty component'],
  ['a slash at the end', 'a/', 'empty component'],
  ['NUL', 'a\0b', 'control'],
  ['a newline', 'a\nb', 'control'],
  ['an escape sequence', 'a\u001b[2Jb', 'control'],
  ['DEL', 'a\u007f', 'control'],
  ['a C1 control character', 'a\u009bb', 'control'],
  ['a backslash', 'a\\..\\b', 'backslash'],
  ['what was no UTF-8', 'a\ufffdb', 'UTF-8'],
  ['half a surrogate pair', 'a\ud800', 'UTF-8'],
  ['a component of 256 bytes', 'a'.repeat(256), '255 bytes'],
  ['a component of 256 bytes in 128 characters', 'é'.repeat(128), '255 bytes'],
  ['a path 65 components deep', `${'d/'.repeat(64)}f`, '64 components'],
  ['a path of 4096 bytes', `${'ab/'.repeat(1365)}c`, '4095 bytes'],
])('refuses %s', (_, path, reason) => {
  expect(() => checkSafePath(path)).toThrow(
    expect.objectContaining({ code: 'ARCHIVE_PATH_UNSAFE', message: expect.stringContaining(reason) }),
  )
})

test('shows a refused name so that neither a terminal nor a log obeys it', () => {
  const name = '/a\u001b[2J\n\u009b\u202e'

  let message = ''
  try {
    checkSafePath(name)
  } catch (error) {
    message = (error as Error).message
  }

  expect(message).toContain('"/a\\u001b[2J\\n\\u009b\\u202e"')
  expect(message).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/)
})
