import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fit } from '../../src/text.js';

test('a short text is left alone', () => assert.equal(fit('Apple', 5), 'Apple'));

test('a long text ends in an ellipsis', () => assert.equal(fit('Strawberry jam', 8), 'Strawbe…'));

test('letters outside the basic plane count as one and are never halved', () => {
  assert.equal(fit('🍓🍓🍓🍓', 3), '🍓🍓…');
  for (let width = 1; width <= 1_600; width += 1) assert.equal([...fit('🍏'.repeat(1_601), width)].length, width);
});
