import { chmodSync, chownSync, mkdirSync, symlinkSync } from 'node:fs'
import { execFileSync, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from '@jest/globals'

import { argumentProblem } from '../../lib/config/option-set.ts'
import { DEFAULT_SECONDS, optionName, SETTING_KEYS, settingOf, settingsOf } from '../../lib/config/index.ts'
import { ConfigurationDirectory, mistakesOf, read } from './configurations.ts'

const directory = new ConfigurationDirectory()
afterAll(() => directory.remove())

describe('a value', () => {
  const FILE = directory.file('hang-seconds = 11\nspool-bytes = "2GiB"\nlisten = "[::1]:1"\nhistory = false\n')
  const VARIABLE = 'KV_BACKUP_AGENT_HANG_SECONDS'

  test.each([
    ['its default, when nobody says anything', {}, DEFAULT_SECONDS.hang, { from: 'default' }],
    ['the file', { file: FILE }, 11, { from: 'file', path: ['hang-seconds'] }],
    [
      'the environment before the file',
      { file: FILE, environment: { [VARIABLE]: '12' } },
      12,
      { from: 'environment', name: VARIABLE },
    ],
    [
      'the command line before everything',
      { file: FILE, environment: { [VARIABLE]: '12' }, options: { 'hang-seconds': '13' } },
      13,
      { from: 'option', name: '--hang-seconds' },
    ],
    [
      'the file behind an empty variable',
      { file: FILE, environment: { [VARIABLE]: '' } },
      11,
      { from: 'file', path: ['hang-seconds'] },
    ],
  ])('comes from %s', async (_, sources, value, source) => {
    expect((await read(sources)).settings['hang-seconds']).toEqual({ value, source })
  })

  test('has the same meaning in the file, in the environment and on the command line', async () => {
    const inFile = await read({ file: FILE })
    const inEnvironment = await read({
      environment: {
        KV_BACKUP_AGENT_HANG_SECONDS: '11',
        KV_BACKUP_AGENT_SPOOL_BYTES: '2147483648',
        KV_BACKUP_AGENT_LISTEN: '[::1]:1',
        KV_BACKUP_AGENT_HISTORY: 'false',
      },
    })
    const onCommandLine = await read({
      options: { 'hang-seconds': '11', 'spool-bytes': '2G', listen: '[::1]:1', history: false },
    })

    expect(settingsOf(inFile)).toMatchObject({ host: '::1', port: 1, spoolBytes: 2 * 1024 ** 3, seconds: { hang: 11 } })
    expect(settingsOf(inFile)).not.toHaveProperty('stateDirectory')
    expect(settingsOf(inEnvironment)).toEqual(settingsOf(inFile))
    expect(settingsOf(onCommandLine)).toEqual(settingsOf(inFile))
  })

  test('that is a path is absolute; on a command line it may start where the command is given', async () => {
    const { settings } = await read({ options: { directory: 'snapshot/', 'spool-dir': '/srv//spool' } })

    expect(settings.directory.value).toBe('/srv/here/snapshot')
    expect(settings['spool-dir'].value).toBe('/srv/spool')
    expect(await mistakesOf({ environment: { KV_BACKUP_AGENT_DIRECTORY: 'snapshot' } })).toEqual([
      'KV_BACKUP_AGENT_DIRECTORY: expected an absolute path',
    ])
  })
})

test('every deadline reaches the agent under its own name', async () => {
  const keys = SETTING_KEYS.filter((key) => key.endsWith('-seconds'))
  const options = Object.fromEntries(keys.map((key, at) => [key, String(1000 + at)]))

  const { seconds } = settingsOf(await read({ options }))

  expect(Object.keys(seconds).length).toBe(keys.length)
  for (const [name, value] of Object.entries(seconds)) {
    const key = keys[value - 1000] ?? ''
    expect(key.replaceAll('-', '')).toBe(`${name.toLowerCase()}seconds`)
  }
})

describe('a file', () => {
  test('that nobody has named may be missing; one that was named must be there', async () => {
    const missing = join(directory.path, 'missing.toml')

    await expect(read({ defaultFile: missing })).resolves.toMatchObject({ file: undefined })
    await expect(read({ file: missing })).rejects.toMatchObject({ code: 'CONFIG_FILE' })
    await expect(read({ environment: { KV_BACKUP_AGENT_CONFIG: missing } })).rejects.toMatchObject({
      code: 'CONFIG_FILE',
    })
  })

  test('is the one of the option, then of the environment, then the usual one', async () => {
    const [one, two, three] = [1, 2, 3].map((seconds) => directory.file(`hang-seconds = ${seconds}`))
    const environment = { KV_BACKUP_AGENT_CONFIG: two }
    const used = async (sources: Parameters<typeof read>[0]) => (await read(sources)).settings['hang-seconds'].value

    expect(await used({ file: one, environment, defaultFile: three as string })).toBe(1)
    expect(await used({ environment, defaultFile: three as string })).toBe(2)
    expect(await used({ defaultFile: three as string })).toBe(3)
  })

  test.each<[string, () => string, string]>([
    ['others may write to', () => made(0o666), 'others than its owner may write to it (mode 0666)'],
    ['its group may write to', () => made(0o660), 'others than its owner may write to it (mode 0660)'],
    ['is a symbolic link', () => link(), 'it is a symbolic link'],
    ['is a directory', () => subdirectory(), 'it is not a file'],
    ['is a named pipe', () => pipe(), 'it is not a file'],
    ['is too large', () => directory.file('#'.repeat(70_000)), 'it is larger than 65536 bytes'],
    ['is no UTF-8', () => binary(), 'it is not valid UTF-8'],
  ])('that %s is refused', async (_, make, message) => {
    const file = make()

    await expect(read({ file })).rejects.toMatchObject({
      code: 'CONFIG_FILE',
      message: `the configuration file ${file} cannot be used: ${message}`,
    })
    // Also when nobody has named it: it would be believed.
    await expect(read({ defaultFile: file })).rejects.toMatchObject({ code: 'CONFIG_FILE' })
  })

  const made = (mode: number): string => {
    const file = directory.file('')
    chmodSync(file, mode)
    return file
  }
  const link = (): string => {
    const path = join(directory.path, 'link.toml')
    symlinkSync(directory.file(''), path)
    return path
  }
  const subdirectory = (): string => {
    const path = join(directory.path, 'directory.toml')
    mkdirSync(path)
    return path
  }
  const pipe = (): string => {
    const path = join(directory.path, 'pipe.toml')
    spawnSync('mkfifo', [path])
    return path
  }
  const binary = (): string => {
    const file = directory.file('')
    spawnSync('sh', ['-c', `printf '# caf\\351\\n' > "$0"`, file])
    return file
  }

  const isRoot = process.geteuid?.() === 0
  ;(isRoot ? test : test.skip)('of another user is refused, unless that is root', async () => {
    const file = directory.file('')
    chownSync(file, 4321, 0)

    await expect(read({ file })).rejects.toMatchObject({ message: expect.stringContaining('it belongs to user 4321') })
  })
})

describe('mistakes', () => {
  test('are told all at once, from everywhere, each with its place and the nearest name', async () => {
    const file = directory.file(
      [
        'spool-dri = "/srv"',
        'hang-seconds = "soon"',
        '',
        '[instance.shop]',
        '  sokcet = "/run/shop.sock"',
        '  engine = "magic"',
        '[allow]',
        'listen = "127.0.0.1:1"',
        '',
      ].join('\n'),
    )

    const mistakes = await mistakesOf({
      file,
      environment: {
        KV_BACKUP_AGENT_SPOOLDIR: '/srv',
        KV_BACKUP_AGENT_COLOUR: 'red',
        KV_BACKUP_AGENT_STALL_SECONDS: '0',
      },
      options: { listen: 'nowhere' },
    })

    expect(mistakes).toEqual([
      `${file}:1:1: unknown key spool-dri; did you mean spool-dir?`,
      `${file}:2:1: hang-seconds: expected a whole number of seconds, 1 or more`,
      `${file}:5:3: unknown key of [instance.shop], sokcet; did you mean socket?`,
      `${file}:6:3: engine: expected one of auto, mariadb-backup, xtrabackup, directory`,
      `${file}:8:1: listen stands below [allow]; it belongs above the first [table]`,
      'KV_BACKUP_AGENT_SPOOLDIR: no such variable; did you mean KV_BACKUP_AGENT_SPOOL_DIR?',
      'KV_BACKUP_AGENT_COLOUR: no such variable',
      'KV_BACKUP_AGENT_STALL_SECONDS: expected a whole number of seconds, 1 or more',
      '--listen: expected HOST:PORT, as in 127.0.0.1:25300 or [::1]:25300',
    ])
  })

  test.each([
    ['what is no TOML, with the place', 'a = 1\nb = = 2\n', ':2:5: this is no TOML: '],
    ['a key twice', 'hang-seconds = 1\nhang-seconds = 2\n', ':2:'],
    ['__proto__', '__proto__ = { listen = "127.0.0.1:1" }\n', ':1:1: unknown key __proto__'],
    ['a table __proto__', '[__proto__]\nlisten = "127.0.0.1:1"\n', ':1:1: unknown key __proto__'],
    ['constructor', 'constructor = 1\n', ':1:1: unknown key constructor'],
    ['what a terminal would obey', '"\\u001b[2J" = 1\n', ':1:1: unknown key "\\x1b[2J"'],
    ['toString in a table', '[allow]\ntoString = 1\n', ':2:1: unknown key of [allow], toString'],
    ['an instance called __proto__', '[instance.__proto__]\nsocket = "/s"\n', ':1:1: expected a name of'],
    ['an instance called constructor', '[instance.constructor]\nsocket = "/s"\n', ':1:1: expected a name of'],
    ['an instance with a name in capitals', '[instance.Shop]\nsocket = "/s"\n', ':1:1: expected a name of'],
    ['an instance with a long name', `[instance.${'a'.repeat(33)}]\nsocket = "/s"\n`, ':1:1: expected a name of'],
    ['an instance that is a value', 'instance = "shop"\n', ':1:1: instance: expected a table'],
    ['a key in the place of an instance', '[instance]\nsocket = "/s"\n', ':2:1: socket: expected a table'],
    ['a list of tables', '[[allow]]\n', ':1:1: allow: expected a table'],
    [
      'an agent key in an instance',
      '[instance.a]\nsocket = "/s"\nspool-dir = "/s"\n',
      ':3:1: spool-dir stands below [instance.a]',
    ],
    [
      'an instance that names no server',
      '[instance.a]\nengine = "xtrabackup"\n',
      ':1:1: [instance.a] does not say which server',
    ],
    ['a relative path', 'spool-dir = "spool"\n', ':1:1: spool-dir: expected an absolute path'],
    ['a path with a line break', 'spool-dir = "/srv\\nx"\n', ':1:1: spool-dir: expected an absolute path'],
    ['a number in quotes', 'hang-seconds = "5"\n', ':1:1: hang-seconds: expected a whole number'],
    ['half a second', 'hang-seconds = 0.5\n', ':1:1: hang-seconds: expected a whole number'],
    ['more seconds than a timer counts', 'hang-seconds = 2000001\n', ':1:1: hang-seconds: expected a whole number'],
    ['bytes in powers of ten', 'spool-bytes = "16GB"\n', ':1:1: spool-bytes: expected a whole number of bytes'],
    [
      'less memory than a chunk needs',
      'memory-bytes = 1000\n',
      ':1:1: memory-bytes: expected a whole number of bytes, 1048576',
    ],
    ['a flag in quotes', 'history = "false"\n', ':1:1: history: expected true or false, without quotes'],
    ['a date', 'listen = 1979-05-27\n', ':1:1: listen: expected HOST:PORT'],
    ['one path in the place of a list', 'known-as = "/s"\n', ':1:1: known-as: expected a list of absolute paths'],
    [
      'one socket of two servers',
      'socket = "/s"\n[instance.a]\nsocket = "/s"\n',
      ':3:1: path /s belongs to the top of the configuration already',
    ],
    [
      'a path that means two servers',
      '[instance.a]\nsocket = "/a"\n[instance.b]\nsocket = "/b"\nknown-as = ["/a"]\n',
      ':5:1: path /a belongs to [instance.a] already',
    ],
    [
      'one data directory of two servers',
      '[instance.a]\ndatadir = "/d"\n[instance.b]\ndatadir = "/d"\n',
      ':4:1: datadir /d belongs to [instance.a] already',
    ],
  ])('in the file: %s', async (_, text, message) => {
    const file = directory.file(text)

    const [mistake] = await mistakesOf({ file })

    expect(mistake).toContain(`${file}${message}`)
  })

  test('never show a value: it may be a password in the wrong place', async () => {
    const secret = 's3cUre-canary'
    const file = directory.file(`listen = "${secret}"\npassword = "${secret}"\nengine = "${secret}\n`)
    const text = `listen = "${secret}"\npassword = "${secret}"\n`
    const environment = { KV_BACKUP_AGENT_PASSWORD: secret, KV_BACKUP_AGENT_ENGINE: secret }

    const mistakes = [
      ...(await mistakesOf({ file, environment, options: { engine: secret } })),
      ...(await mistakesOf({ file: directory.file(text) })),
    ]

    expect(mistakes.length).toBe(6)
    expect(mistakes.join('\n')).not.toContain(secret)
  })

  test('have no place where the text is spread over lines and tables in an odd way, but the right one', async () => {
    const file = directory.file(
      [
        'known-as = [',
        '  "/a", # one',
        '  "/b",',
        ']',
        'instance = { a = { engine = "auto", sokcet = "/a" } }',
        '',
      ].join('\n'),
    )

    expect((await mistakesOf({ file }))[0]).toMatch(`${file}:5:1: unknown key of [instance.a], sokcet`)
  })

  test('in a text of many lines stand in the line where the key begins', async () => {
    const lines = Array.from(
      { length: 150 },
      (_, at) => `[instance.i${at}]\nsocket = "/run/${at}.sock"\nknown-as = [\n  "/x${at}",\n]\n`,
    )
    lines[77] = '[instance.i77]\nsocket = "/run/77.sock"\nknown-as = [\n  "x77",\n]\n'
    const file = directory.file(lines.join(''))

    expect(await mistakesOf({ file })).toEqual([
      `${file}:${77 * 5 + 3}:1: known-as: expected a list of absolute paths, as in ["/var/log/mysql"]`,
    ])
  })
})

describe('a set of options', () => {
  test('is taken as it stands', async () => {
    const file = directory.file(
      '[options.replica]\nargs = ["--slave-info", "--tables-exclude=^tmp[.]"]\nmatch = "--slave-info"\n',
    )

    expect(settingsOf(await read({ file })).optionSets).toEqual({
      replica: { args: ['--slave-info', '--tables-exclude=^tmp[.]'], match: '--slave-info' },
    })
  })

  test.each([
    '--stream=tar',
    '--target-dir=/srv',
    '--backup',
    '--defaults-file=/etc/my.cnf',
    '--defaults-extra-file=x',
    '--defaults_group=x',
    '--no-defaults',
    '--user=root',
    '--password=x',
    '--host=h',
    '--port=1',
    '--socket=/s',
    '--datadir=/d',
    '--plugin-dir=/p',
    '--plugin_load=x',
    '--parallel=9',
    '--compress',
    '--encrypt=AES256',
    '--incremental-basedir=/b',
    '--loose-plugin-dir=/p',
    '--skip-stream',
    '--loose_socket=/s',
    '--LOOSE-user=x',
    // my_getopt takes every beginning that is plain
    '--str=tar',
    '--targ=/srv',
    '--pass=x',
    '--def=x',
    '--p',
    // what is no option at all
    '--',
    '-u',
    'slave-info',
    '/etc/passwd',
    '--tables=a\nb',
    '--databases',
    '--tables-file',
    '--tables_exclude',
    '--loose-databases',
    '--ssl-ca',
    '--thr',
    '',
  ])('may not hold %j', async (argument) => {
    const file = directory.file(`[options.odd]\nargs = ["--slave-info", ${JSON.stringify(argument)}]\n`)

    expect((await mistakesOf({ file }))[0]).toMatch(`${file}:2:1: args: `)
  })

  test.each([
    '--slave-info',
    '--galera-info',
    '--safe-slave-backup-timeout=30',
    '--tables-exclude=^a',
    '--databases=a b',
    '--throttle=4',
    '--no-lock',
    '--kill-long-queries-timeout=5',
    '--ftwrl-wait-timeout=5',
    '--open-files-limit=9000',
    '--ssl-ca=/c',
    '--history=nightly',
    '--lock-ddl-per-table',
    '--skip-ssl',
    '--ssl',
    '--history',
    '--databases=',
  ])('may hold %j', async (argument) => {
    const file = directory.file(`[options.good]\nargs = [${JSON.stringify(argument)}]\n`)

    expect(await mistakesOf({ file })).toEqual([])
  })

  test('knows every option of the installed backup program that would take the next one for its value', () => {
    const help = execFileSync('mariadb-backup', ['--help'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    const needy = [...help.matchAll(/^ +(?:-\S, )?--([a-z0-9-]+)=(?=\S)/gm)].map(([, name = '']) => name)

    const taken = needy.filter((name) => argumentProblem(`--${name}`) === undefined)

    expect(needy).toContain('databases')
    expect(taken).toEqual([])
    // And none that needs no value is taken for one that does.
    const flags = [...help.matchAll(/^ +(?:-\S, )?--([a-z0-9-]+)(?:\[=\S+)?(?= |$)/gm)].map(([, name = '']) => name)
    const refused = flags.filter(
      (name) => argumentProblem(`--${name}`)?.includes('has no value') && !needy.includes(name),
    )
    expect(flags).toContain('slave-info')
    expect(refused).toEqual([])
  })

  test('needs its args, and a match of its own', async () => {
    const lacking = directory.file('[options.a]\nmatch = "x"\n')
    const twice = directory.file('[options.a]\nargs = []\nmatch = "x"\n[options.b]\nargs = []\nmatch = "x"\n')
    const named = directory.file('[options.a]\nargs = []\n[options.b]\nargs = []\nmatch = "a"\n')

    expect(await mistakesOf({ file: lacking })).toEqual([`${lacking}:1:1: [options.a] lacks args`])
    expect(await mistakesOf({ file: twice })).toEqual([`${twice}:6:1: match: means [options.a] already`])
    expect(await mistakesOf({ file: named })).toEqual([`${named}:5:1: match: means [options.a] already`])
  })
})

test('everything that can be decided has words, one option and one variable', () => {
  for (const key of SETTING_KEYS) {
    const { help, placeholder, isNegated } = settingOf(key)
    expect(help).toMatch(/^[a-z].*[^.]$/)
    expect(placeholder).toMatch(isNegated === true || key === 'insecure' ? /^$/ : /^<[A-Z:]+>$/)
  }
  expect(new Set(SETTING_KEYS.map(optionName)).size).toBe(SETTING_KEYS.length)
})
