import { describe, expect, test } from '@jest/globals'

import { MemberNames } from '../../lib/archive/member-names.ts'

type Added = readonly (readonly [path: string, kind: 'file' | 'directory'])[]

const add = (added: Added, limits?: { names: number; characters: number }): void => {
  const names = new MemberNames(limits)
  for (const [path, kind] of added) names.add(path, kind)
}

describe('names of an archive', () => {
  test.each<[string, Added]>([
    [
      'differ in case only',
      [
        ['a', 'file'],
        ['A', 'file'],
      ],
    ],
    [
      'are a directory and what is in it',
      [
        ['a', 'directory'],
        ['a/b', 'file'],
        ['a/c', 'directory'],
      ],
    ],
    [
      'are a directory after what is in it',
      [
        ['a/b/c', 'file'],
        ['a', 'directory'],
        ['a/b', 'directory'],
      ],
    ],
    [
      'begin alike',
      [
        ['a', 'file'],
        ['ab', 'file'],
        ['a.b/c', 'file'],
      ],
    ],
  ])('may stand together when they %s', (_, added) => {
    expect(() => add(added)).not.toThrow()
  })

  test.each<[string, Added]>([
    [
      'a file twice',
      [
        ['a', 'file'],
        ['a', 'file'],
      ],
    ],
    [
      'a directory twice',
      [
        ['a', 'directory'],
        ['a', 'directory'],
      ],
    ],
    [
      'a directory twice, after what is in it',
      [
        ['a/b', 'file'],
        ['a', 'directory'],
        ['a', 'directory'],
      ],
    ],
    [
      'a file where a directory stands',
      [
        ['a', 'directory'],
        ['a', 'file'],
      ],
    ],
    [
      'a file where a directory must be',
      [
        ['a/b', 'file'],
        ['a', 'file'],
      ],
    ],
    [
      'a directory where a file stands',
      [
        ['a', 'file'],
        ['a', 'directory'],
      ],
    ],
    [
      'a file below a file',
      [
        ['a', 'file'],
        ['a/b', 'file'],
      ],
    ],
    [
      'a file far below a file',
      [
        ['a', 'file'],
        ['a/b/c/d', 'file'],
      ],
    ],
  ])('are refused for %s', (_, added) => {
    expect(() => add(added)).toThrow(expect.objectContaining({ code: 'ARCHIVE_DUPLICATE' }))
  })

  test.each<[string, Added]>([
    [
      'too many',
      [
        ['a', 'file'],
        ['b', 'file'],
        ['c', 'file'],
        ['d', 'file'],
      ],
    ],
    ['too many, counting directories above them', [['a/b/c/d', 'file']]],
    [
      'too long together',
      [
        ['a'.repeat(11), 'file'],
        ['b'.repeat(11), 'file'],
      ],
    ],
  ])('are refused when they are %s', (_, added) => {
    expect(() => add(added, { names: 3, characters: 20 })).toThrow(expect.objectContaining({ code: 'ARCHIVE_LIMIT' }))
  })
})
