import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from '@jest/globals'

import { brokenWalls } from './walls-rules.ts'
import { blankOut, findImports, type Source } from './walls-source.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

const sourcesBelow = (directory: string): Source[] =>
  readdirSync(join(ROOT, directory), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .map((path) => ({ path: relative(ROOT, path), text: readFileSync(path, 'utf8') }))

const OPENING = '/** A file. */\n'
const source = (path: string, code: string): Source => ({ path, text: `${OPENING}${code}` })

describe('the house', () => {
  const sources = [...sourcesBelow('lib'), ...sourcesBelow('bin')]

  test('has no broken wall', () => {
    const broken = sources.flatMap(brokenWalls)

    expect(broken).toEqual([])
  })

  test('was looked at in all its rooms', () => {
    const imports = sources.flatMap((one) => findImports(one).map(({ specifier }) => specifier))

    expect(sources.map(({ path }) => path)).toEqual(
      expect.arrayContaining(['bin/backup-agent.ts', 'lib/index.ts', 'lib/errors/index.ts', 'lib/jobs/pipeline.ts']),
    )
    expect(imports).toEqual(
      expect.arrayContaining([
        '../errors/index.ts',
        'node:net',
        'commander',
        '../lib/cli/index.ts',
        './agent/index.ts',
      ]),
    )
  })
})

describe('a wall', () => {
  test.each<[string, Source, string]>([
    [
      'against an import of a higher layer',
      source('lib/engines/a.ts', `import { run } from '../jobs/index.ts'`),
      'engines (layer 2) imports jobs (layer 3): imports point down only',
    ],
    [
      'against a re-export of a higher layer',
      source('lib/protocol/a.ts', `export { run } from '../jobs/index.ts'`),
      'protocol (layer 1) imports jobs (layer 3)',
    ],
    [
      'against an import of types alone',
      source('lib/errors/a.ts', `import type {\n  Run,\n  Walk,\n} from '../config/index.ts'`),
      'errors (layer 0) imports config (layer 2)',
    ],
    [
      'against a dynamic import of a higher layer',
      source('lib/jobs/a.ts', `const door = await import('../agent/index.ts')`),
      'jobs (layer 3) imports agent (layer 4)',
    ],
    [
      'between the rooms of layer 1',
      source('lib/archive/a.ts', `import { hold } from '../flow/index.ts'`),
      'the rooms of layer 1 are strangers',
    ],
    [
      'between rooms of layer 0',
      source('lib/scratch/a.ts', `import { log } from '../log/index.ts'`),
      'rooms of one layer do not import each other',
    ],
    ['against a log in layer 1', source('lib/flow/a.ts', `import '../log/index.ts'`), 'layer 1 throws and never logs'],
    [
      'between rooms of another layer',
      source('lib/config/a.ts', `import type { Name } from '../engines/index.ts'`),
      'rooms of one layer do not import each other',
    ],
    [
      'from agent to client',
      source('lib/agent/a.ts', `import { ask } from '../client/index.ts'`),
      'agent and client meet on the wire alone',
    ],
    [
      'from client to agent',
      source('lib/client/a.ts', `import { serve } from '../agent/index.ts'`),
      'agent and client meet on the wire alone',
    ],
    [
      'around a room’s inside',
      source('lib/jobs/a.ts', `import { Reader } from '../archive/tar-reader.ts'`),
      'use its door, lib/archive/index.ts',
    ],
    [
      'around a room’s inside, for lib/index.ts as well',
      source('lib/index.ts', `export { startAgent } from './agent/start-agent.ts'`),
      'use its door, lib/agent/index.ts',
    ],
    [
      'against the library’s door from within',
      source('lib/cli/a.ts', `import { verify } from '../index.ts'`),
      'import the room that has what you need',
    ],
    [
      'between the programs and everything but cli',
      source('bin/a.ts', `import { startAgent } from '../lib/agent/index.ts'`),
      'hands its arguments to lib/cli/index.ts and does nothing else',
    ],
    [
      'against tests in lib',
      source('lib/cli/a.ts', `import { run } from '../../test/rig/run-program.ts'`),
      'outside of lib',
    ],
    ...(
      [
        ['execa', 'lib/jobs/a.ts', 'lib/engines/child*.ts'],
        ['execa', 'lib/engines/probe.ts', 'lib/engines/child*.ts'],
        ['node:child_process', 'lib/client/a.ts', 'lib/engines/child*.ts'],
        ['semver', 'lib/protocol/a.ts', 'lib/protocol/version.ts'],
        ['semver/functions/gt.js', 'lib/protocol/a.ts', 'lib/protocol/version.ts'],
        ['pino', 'lib/agent/a.ts', 'lib/log'],
        ['pino-pretty', 'lib/cli/a.ts', 'lib/log'],
        ['commander', 'lib/config/a.ts', 'lib/cli'],
        [
          'node:net',
          'lib/agent/session.ts',
          'lib/agent/listener*.ts, lib/client/request*.ts, lib/log/journal-destination.ts and lib/engines/child-output.ts',
        ],
      ] as const
    ).map(([name, path, where]): [string, Source, string] => [
      `around the home of ${name}, in ${path}`,
      source(path, `import { something } from '${name}'`),
      `imports ${name}, whose only home is ${where}: `,
    ]),
    [
      'around the network, for its types as well',
      source('lib/jobs/a.ts', `import type { Socket } from 'node:net'`),
      'imports node:net, whose only home is',
    ],
    [
      'around the network, whatever else is called type',
      source('lib/agent/a.ts', `import { type Socket, connect } from 'node:net'`),
      'imports node:net, whose only home is',
    ],
    [
      'against a package that is only the oracle of tests',
      source('lib/archive/tar-writer.ts', `import { pack } from 'tar-stream'`),
      'the package tar-stream, which has no home yet',
    ],
    [
      'against a package without a home',
      source('lib/jobs/a.ts', `import _ from '@scope/lodash/fp'`),
      'the package @scope/lodash, which has no home yet',
    ],
    ['against a room nobody knows', source('lib/cellar/a.ts', ''), 'is in no room we know'],
    ['against a file between the rooms', source('lib/a.ts', ''), 'is in no room we know'],
    ['against console', source('lib/jobs/a.ts', `console.log('done')`), 'uses console: under inetd'],
    [
      'against standard output',
      source('lib/agent/a.ts', `process.stdout.write('READY')`),
      'uses process.stdout: under inetd',
    ],
    ['against .pipe()', source('lib/jobs/a.ts', `child.stdout\n  .pipe(socket)`), 'it forgets errors'],
    [
      'against a shell',
      source('lib/engines/child.ts', `spawn(program, [], { shell: true })`),
      'a shell would interpret what a client has sent',
    ],
    [
      'against a shell by name',
      source('lib/engines/child.ts', `spawn(program, [], { shell: '/bin/sh' })`),
      'uses shell',
    ],
    [
      'against a file that does not say what it is for',
      { path: 'lib/jobs/a.ts', text: `// A file.\nexport {}` },
      'does not open with a doc comment',
    ],
    [
      'against a program that does not say what it is for',
      { path: 'bin/a.ts', text: `#!/usr/bin/env node\nimport '../lib/cli/index.ts'` },
      'does not open with a doc comment',
    ],
    ['against a name that says nothing', source('lib/jobs/utils.ts', ''), 'name it after its one idea'],
    ['against a name that says little', source('lib/jobs/stream-helpers.ts', ''), 'name it after its one idea'],
  ])('stands %s', (_, broken, reason) => {
    const sentences = brokenWalls(broken)

    expect(sentences).toEqual([expect.stringContaining(reason)])
    expect(sentences[0]).toMatch(/^(lib|bin)\/[^:]+\.ts:\d+: /)
  })

  test.each<[string, Source]>([
    ['an import of a lower layer', source('lib/jobs/a.ts', `import { x } from '../archive/index.ts'`)],
    ['an import within the room', source('lib/jobs/a.ts', `import { x } from './verdict.ts'`)],
    ['layer 0 in layer 1', source('lib/flow/a.ts', `import { x } from '../scratch/index.ts'`)],
    ['errors in the log', source('lib/log/a.ts', `import { x } from '../errors/index.ts'`)],
    ['every room in the library’s door', source('lib/index.ts', `export { x } from './protocol/index.ts'`)],
    ['packages in their homes', source('lib/engines/child-process.ts', `import { execa } from 'execa'`)],
    ['the network in its homes', source('lib/client/request.ts', `import { connect } from 'node:net'`)],
    ['the type of a socket that is handed in', source('lib/agent/a.ts', `import type { Socket } from 'node:net'`)],
    ['Node’s own modules', source('lib/archive/a.ts', `import { crc32 } from 'node:zlib'`)],
    ['standard output in cli', source('lib/cli/a.ts', `process.stdout.write(report)\nconsole.log(report)`)],
    ['a refused shell', source('lib/engines/child.ts', `execa(program, options, { shell: false })`)],
    [
      'words about forbidden things',
      source('lib/jobs/a.ts', `// nobody calls x.pipe(y)\nthrow new Error('.pipe( console.log')`),
    ],
    ['a program with its first line', { path: 'bin/a.ts', text: `#!/usr/bin/env node\n/** A program. */\n` }],
  ])('lets pass: %s', (_, good) => {
    expect(brokenWalls(good)).toEqual([])
  })

  test('is named with the line where it was broken', () => {
    const broken = source('lib/flow/a.ts', `\n\nimport { x } from '../protocol/index.ts'\n\nx.pipe(y)\n`)

    expect(brokenWalls(broken)).toEqual([
      expect.stringMatching(/^lib\/flow\/a\.ts:4: /),
      expect.stringMatching(/^lib\/flow\/a\.ts:6: /),
    ])
  })
})

describe('reading a source', () => {
  /** Writes down what is code; the dots are what must become spaces. */
  test.each([
    ['a comment', "/* import 'a' */ x", '................ x'],
    ['a comment to the end of its line', "x // import 'a'\ny", 'x .............\ny'],
    ['a string', `x('import \\' "a"')`, `x('.............')`],
    ['a template', 'x(`a .pipe(` + y)', 'x(`........` + y)'],
    ['a regular expression', `x(/["'/]\\/[/*]/, y) / 2 / z`, 'x(/...........' + '/, y) / 2 / z'],
  ])('blanks out %s', (_, text, code) => {
    expect(blankOut(text)).toBe(code.replaceAll('.', ' '))
  })

  test('keeps the code inside a template', () => {
    const [outer, inner] = ['$' + '{b({ c: ', '$' + '{e}']

    const code = blankOut(`x(\`a ${outer}\`d ${inner}\` })} .pipe(\`)`)

    expect(code).toBe(`x(\`  ${outer}\`  ${inner}\` })}       \`)`)
  })

  test('finds imports of every form, and none in comments and strings', () => {
    const text = [
      `/** import { a } from 'comment' */`,
      `import 'side-effect'`,
      `import type { A } from 'types'`,
      `import {`,
      `  b, // from 'elsewhere'`,
      `  type C,`,
      `} from "several-lines"`,
      `export * from 'star'`,
      `export { d } from 'names'`,
      `export const e = 'not from'`,
      `const f = await import('dynamic')`,
      `type G = import('type-import').G`,
      `const h = "import 'string'"`,
    ].join('\n')

    const found = findImports({ path: 'lib/a.ts', text }).map(({ specifier, line }) => `${line} ${specifier}`)

    expect(found).toEqual([
      '2 side-effect',
      '3 types',
      '7 several-lines',
      '8 star',
      '9 names',
      '11 dynamic',
      '12 type-import',
    ])
  })
})
