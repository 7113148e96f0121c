/**
 * What the demo's server holds: every kind of table that a backup treats differently.
 *
 * InnoDB (one file over 200 MB, one in partitions), MyISAM, Aria, a table without rows, names
 * with spaces and with letters that are not ASCII, for databases as well. Rows are
 * made by the server itself out of numbers, which is the fastest way to many of them.
 */

import type { ThrowawayServer } from '../rig/mariadb-server.ts'
import { quoteName } from '../rig/sql-text.ts'

interface Table {
  readonly database: string
  readonly name: string
  /** Everything behind `CREATE TABLE name`. */
  readonly definition: string
  /** How many rows, and what a row is made of; `n` counts from 1. */
  readonly rows: number
  readonly row: string
}

export const DATABASES = ['shop', 'archive 2019', 'bücher'] as const

/** The one table that somebody goes on writing to. */
export const JOURNAL = { database: 'shop', name: 'journal' } as const

/** The table whose file has to be over 200 MB. */
export const BIG = { database: 'shop', name: 'orders', minBytes: 200_000_000 } as const

const TABLES: readonly Table[] = [
  {
    ...BIG,
    definition: '(id INT PRIMARY KEY, customer INT NOT NULL, total DECIMAL(10,2) NOT NULL, remarks TEXT NOT NULL)',
    rows: 200_000,
    row: 'n, n % 20000 + 1, n / 7, REPEAT(MD5(n), 32)',
  },
  {
    database: 'shop',
    name: 'customers',
    definition: '(id INT PRIMARY KEY, email VARCHAR(80) NOT NULL UNIQUE, since DATE, KEY (since))',
    rows: 20_000,
    row: `n, CONCAT(SHA1(n), '@example.com'), '2001-01-01' + INTERVAL n DAY`,
  },
  {
    database: 'shop',
    name: 'order lines',
    definition: '(`order` INT, line INT, article VARCHAR(40) NOT NULL, PRIMARY KEY (`order`, line))',
    rows: 40_000,
    row: 'n DIV 4, n % 4, SHA1(n)',
  },
  { database: 'shop', name: 'returns', definition: '(id INT PRIMARY KEY, why TEXT)', rows: 0, row: 'n, NULL' },
  {
    database: 'shop',
    name: 'page views',
    definition: '(id INT PRIMARY KEY, url VARCHAR(100) NOT NULL, KEY (url)) ENGINE=MyISAM',
    rows: 40_000,
    row: `n, CONCAT('/article/', MD5(n))`,
  },
  {
    database: 'shop',
    name: 'carts',
    definition: '(id INT PRIMARY KEY, content BLOB NOT NULL) ENGINE=Aria TRANSACTIONAL=1',
    rows: 10_000,
    row: 'n, REPEAT(UNHEX(SHA2(n, 256)), n % 12)',
  },
  {
    database: 'archive 2019',
    name: 'sales by region',
    definition: `(region INT, week INT, amount BIGINT NOT NULL, PRIMARY KEY (region, week))
      PARTITION BY RANGE (week) (PARTITION p1 VALUES LESS THAN (27), PARTITION p2 VALUES LESS THAN MAXVALUE)`,
    rows: 10_000,
    row: 'n DIV 52, n % 52, n * n',
  },
  {
    database: 'archive 2019',
    name: 'old log',
    definition: '(at DATETIME NOT NULL, line TEXT NOT NULL) ENGINE=MyISAM',
    rows: 10_000,
    row: `'2019-01-01' + INTERVAL n MINUTE, REPEAT('all is well ', n % 9)`,
  },
  {
    database: 'bücher',
    name: 'straße',
    definition: '(id INT PRIMARY KEY, `größe` DOUBLE, titel VARCHAR(100))',
    rows: 5_000,
    row: `n, SQRT(n), CONCAT('Straße Nr. ', n, ' 🛣')`,
  },
  {
    database: 'bücher',
    name: 'каталог',
    definition: '(id INT PRIMARY KEY, название VARCHAR(100)) ENGINE=Aria TRANSACTIONAL=0',
    rows: 5_000,
    row: `n, CONCAT('книга ', n)`,
  },
  {
    database: 'bücher',
    name: '本',
    definition: '(id INT PRIMARY KEY, 題 VARCHAR(100))',
    rows: 500,
    row: `n, CONCAT('第', n, '巻')`,
  },
]

/** Makes and fills every database and table. */
export const fill = async (server: ThrowawayServer): Promise<void> => {
  // Without these checks InnoDB loads an empty table in bulk.
  const statements = ['SET unique_checks = 0, foreign_key_checks = 0;']
  for (const database of DATABASES) statements.push(`CREATE DATABASE ${quoteName(database)} CHARACTER SET utf8mb4;`)
  for (const table of TABLES) statements.push(...fillTable(table))
  statements.push(
    `USE ${quoteName(JOURNAL.database)};`,
    `CREATE TABLE ${quoteName(JOURNAL.name)} (id INT PRIMARY KEY, at DATETIME(6) NOT NULL, what VARCHAR(200) NOT NULL);`,
  )
  await server.query(statements.join('\n'))
}

const fillTable = ({ database, name, definition, rows, row }: Table): string[] => [
  `USE ${quoteName(database)};`,
  `CREATE TABLE ${quoteName(name)} ${definition};`,
  ...(rows === 0
    ? []
    : [
        `INSERT INTO ${quoteName(name)} WITH numbers AS (SELECT seq AS n FROM seq_1_to_${rows}) SELECT ${row} FROM numbers;`,
      ]),
]

/** Bytes of the big table's file, as the server sees it. */
export const bigTableBytes = async (server: ThrowawayServer): Promise<number> =>
  Number(
    await server.queryValue(
      `SELECT file_size FROM information_schema.innodb_sys_tablespaces WHERE name = '${BIG.database}/${BIG.name}'`,
    ),
  )
