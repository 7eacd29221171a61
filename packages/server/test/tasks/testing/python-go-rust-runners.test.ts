import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { findRunner } from '../../../src/tasks/testing/find-runner.ts';
import { cargoTest } from '../../../src/tasks/testing/runners/cargo-test.ts';
import { goTest } from '../../../src/tasks/testing/runners/go-test.ts';
import { pytest } from '../../../src/tasks/testing/runners/pytest.ts';
import { givenProject, hasProgram, inShort, listUnits, plainOptions, projectFiles, runUnits } from './project-folder.ts';

describe.skipIf(spawnSync('python3', ['-c', 'import pytest']).status !== 0)('pytest', () => {
  const oddName = "te st/test_q'$(x)\n-ü.py";

  test('a suite is run file by file with the project’s own configuration', async () => {
    const folder = givenProject({
      'pytest.ini': '[pytest]\naddopts = -x -v -m "not slow"\nmarkers = slow\n',
      'tests/base.py': 'class Base:\n    def test_inherited(self): pass\n',
      'tests/__init__.py': '',
      'tests/test_mixed.py': [
        'import pytest',
        'from tests.base import Base',
        'class TestC(Base):',
        '    def test_own(self): pass',
        '@pytest.mark.skip',
        'def test_left_out(): pass',
        '@pytest.mark.xfail',
        'def test_known(): assert 0',
        '@pytest.mark.xfail(strict=True)',
        'def test_strict(): pass',
        "@pytest.mark.parametrize('x', ['a::b', 'p]['])",
        "def test_each(x): assert x != 'p]['",
        '@pytest.fixture',
        "def broken(): raise ValueError('no fixture')",
        'def test_setup(broken): pass',
        '@pytest.mark.slow',
        'def test_slow(): pass',
      ].join('\n'),
      'tests/test_import.py': 'import nope\n',
      'tests/test_absent.py': "import pytest\npytest.importorskip('nope')\n",
      'tests/test_exit.py': 'import os\ndef test_1(): pass\ndef test_2(): os._exit(3)\n',
      [oddName]: 'def test_odd(): pass\n',
    });
    expect((await findRunner(projectFiles(folder))).name).toBe('pytest');
    const units = (await listUnits(pytest, folder)).sort();
    expect(units).toEqual([oddName, 'tests/test_absent.py', 'tests/test_exit.py', 'tests/test_import.py', 'tests/test_mixed.py'].sort());

    const { results } = await runUnits(pytest, folder, ['tests/test_mixed.py', 'tests/test_import.py', 'tests/test_absent.py', oddName]);
    expect(inShort(results)).toEqual([
      'tests/test_mixed.py: failed',
      '  passed TestC > test_inherited',
      '  passed TestC > test_own',
      '  skipped test_left_out',
      '  skipped test_known',
      '  failed test_strict',
      '  passed test_each[a::b]',
      '  failed test_each[p][]',
      '  failed test_setup',
      'tests/test_import.py: error',
      'tests/test_absent.py: passed',
      '  skipped tests/test_absent.py',
      `${oddName}: passed`,
      '  passed test_odd',
    ]);
    expect(results[0]?.cases[6]).toMatchObject({ file: 'tests/test_mixed.py', line: 12 });
    expect(results[1]?.message).toContain("No module named 'nope'");
  }, 60_000);

  test('a process that dies leaves the file it was in missing, and what was over stands', async () => {
    const folder = givenProject({
      'test_a.py': 'def test_1(): pass\n',
      'test_b.py': 'import os\ndef test_1(): pass\ndef test_2(): os._exit(0)\n',
    });
    const { results } = await runUnits(pytest, folder, ['test_a.py', 'test_b.py']);
    expect(inShort(results)).toEqual(['test_a.py: passed', '  passed test_1', 'test_b.py: missing', '  passed test_1']);
  }, 60_000);

  test('a wrong option gives no list and says what pytest said', async () => {
    const folder = givenProject({ 'pytest.ini': '[pytest]\naddopts = --no-such-option\n', 'test_a.py': '' });
    await expect(listUnits(pytest, folder)).rejects.toMatchObject({
      code: 'test.runner_failed',
      message: expect.stringContaining('--no-such-option'),
    });
  }, 60_000);
});

describe.skipIf(!hasProgram('go'))('go test', () => {
  test('a module is run package by package', async () => {
    const folder = givenProject({
      'go.mod': 'module example.com/m\n\ngo 1.19\n',
      'root_test.go': 'package m\nimport "testing"\nfunc TestRoot(t *testing.T) {}\n',
      'a/a.go': 'package a\nfunc F(x int) int {\n\tif x > 0 {\n\t\treturn 1\n\t}\n\treturn 2\n}\n',
      'a/a_test.go':
        'package a\nimport "testing"\nfunc TestOk(t *testing.T) {\n\tF(1)\n\tt.Run("sub", func(t *testing.T) {})\n\tt.Run("bad", func(t *testing.T) {\n\t\tt.Errorf("want 1")\n\t})\n}\nfunc TestSkip(t *testing.T) { t.Skip() }\n',
      'broken/b_test.go': 'package b\nimport "testing"\nfunc TestX(t *testing.T) { undefinedName() }\n',
      'panics/p_test.go':
        'package p\nimport "testing"\nfunc TestA(t *testing.T) {}\nfunc TestP(t *testing.T) { panic("boom") }\nfunc TestZ(t *testing.T) {}\n',
      'exits/e_test.go':
        'package e\nimport (\n\t"os"\n\t"testing"\n)\nfunc TestMain(m *testing.M) {\n\tm.Run()\n\tos.Exit(3)\n}\nfunc TestA(t *testing.T) {}\n',
      'none/n.go': 'package none\n',
    });
    expect((await findRunner(projectFiles(folder))).name).toBe('go-test');
    const units = await listUnits(goTest, folder);
    expect(units).toEqual(['.', 'a', 'broken', 'exits', 'panics']);
    const { results, lcov } = await runUnits(goTest, folder, units, { ...plainOptions, coverage: true });
    expect(inShort(results)).toEqual([
      '.: passed',
      '  passed TestRoot',
      'a: failed',
      '  failed TestOk',
      '  passed TestOk/sub',
      '  failed TestOk/bad',
      '  skipped TestSkip',
      'broken: error',
      'exits: error',
      '  passed TestA',
      'panics: failed',
      '  passed TestA',
      '  failed TestP',
    ]);
    expect(results[1]?.cases[2]).toMatchObject({ file: 'a/a_test.go', line: 7 });
    expect(results[2]?.message).toContain('undefinedName');
    expect(lcov).toMatch(/^SF:a\/a\.go\n[\s\S]*DA:6,0\n/);
  }, 120_000);
});

describe.skipIf(!hasProgram('cargo'))('cargo test', () => {
  test('a package is run binary by binary', async () => {
    const folder = givenProject({
      'Cargo.toml': '[package]\nname = "c"\nversion = "0.1.0"\nedition = "2021"\n',
      'src/lib.rs': [
        '/// ```',
        '/// assert_eq!(c::one(), 1);',
        '/// ```',
        'pub fn one() -> u32 { 1 }',
        '#[cfg(test)]',
        'mod tests {',
        '    #[test] fn ok() {}',
        '    #[test] fn bad() { println!("said"); assert_eq!(1, 2); }',
        '    #[test] #[ignore = "slow"] fn later() {}',
        '    #[test] #[should_panic] fn panics() { panic!("x") }',
        '    #[test] fn noisy() { std::process::Command::new("echo").arg("FAILED").status().unwrap(); }',
        '}',
      ].join('\n'),
      'tests/exits.rs': '#[test] fn fine() {}\n#[test] fn leaves() { std::process::exit(0) }\n',
      'tests/broken.rs': '#[test] fn it() { let _x: i32 = "a"; }\n',
    });
    expect((await findRunner(projectFiles(folder))).name).toBe('cargo-test');
    const units = await listUnits(cargoTest, folder);
    expect(units.toSorted()).toEqual(['c/doc', 'c/lib', 'c/test/broken', 'c/test/exits']);
    const { results } = await runUnits(cargoTest, folder, ['c/lib', 'c/doc', 'c/test/exits', 'c/test/broken']);
    expect(inShort(results.slice(0, 2))).toEqual([
      'c/lib: failed',
      '  failed tests::bad',
      '  skipped tests::later',
      '  passed tests::noisy',
      '  passed tests::ok',
      '  passed tests::panics',
      'c/doc: passed',
      '  passed src/lib.rs - one (line 1)',
    ]);
    expect(results[0]?.cases[0]).toMatchObject({ file: 'src/lib.rs', line: 8, message: expect.stringContaining('said') });
    expect(results[2]?.outcome).toBe('error');
    expect(results[3]).toMatchObject({ outcome: 'error', message: expect.stringContaining('mismatched types') });
  }, 180_000);
});
