/**
 * Name and version of this product, as logs, archives and `--version` say it.
 *
 * Read from package.json, which stands three folders above the built file in a checkout
 * and in an installed package alike; above the parts of the programs too (`bin/packaging/bundle-programs.mjs`).
 */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const manifest = JSON.parse(readFileSync(join(import.meta.dirname, '../../../package.json'), 'utf8')) as {
  name: string
  version: string
}

export const PRODUCT_VERSION = manifest.version
/** `kv-backup-agent/0.1.0` */
export const PRODUCT = `${manifest.name}/${manifest.version}`
