/**
 * In a build: makes of every lib/…/NAME.wat a module dist/lib/…/NAME.wat.js, which holds the assembled bytes as text.
 *
 * The same source and the same assembler give the same bytes. Nothing is done for a module that is newer than its
 * source, this file and the assembler.
 */

import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { holdConstants } from './hold-constants.mjs'
import { inlineFunctions } from './inline-functions.mjs'
import { parse, print } from './wat-text.mjs'

const root = fileURLToPath(new URL('../../', import.meta.url))

const timeOf = (file) => statSync(file).mtimeMs

/** What a module must not be older than, beside its source. */
const makers = [
  fileURLToPath(import.meta.url),
  ...['hold-constants', 'inline-functions', 'wat-text'].map((name) =>
    fileURLToPath(new URL(`./${name}.mjs`, import.meta.url)),
  ),
  join(root, 'node_modules/wabt/package.json'),
]

const assemble = async (source) => {
  // Loaded only where there is something to do: it takes longer than everything else here.
  const { default: loadWabt } = await import('wabt')
  const wabt = await loadWabt()
  const module = wabt.parseWat(source, print(holdConstants(inlineFunctions(parse(readFileSync(source, 'utf8'))))), {
    simd: true,
  })
  try {
    module.validate()
    return module.toBinary({}).buffer
  } finally {
    module.destroy()
  }
}

for (const name of readdirSync(join(root, 'lib'), { recursive: true }).filter((file) => file.endsWith('.wat'))) {
  const source = join(root, 'lib', name)
  const target = join(root, 'dist/lib', `${name}.js`)
  if (existsSync(target) && [source, ...makers].every((file) => timeOf(file) < timeOf(target))) continue
  const text = Buffer.from(await assemble(source)).toString('base64')
  mkdirSync(dirname(target), { recursive: true })
  writeFileSync(
    target,
    `// Made of lib/${name} by test/setup/assemble-kernels.mjs.\nexport const KERNELS_WASM =\n  '${text}'\n`,
  )
}
