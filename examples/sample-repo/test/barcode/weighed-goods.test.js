import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkDigit, readWeighedBarcode } from '../../src/barcode.js';

const label = (article, priceCents) => {
  const body = `2${article}${String(priceCents).padStart(5, '0')}`;
  return body + checkDigit(body);
};

test('the price is read from the label of weighed goods', () => {
  assert.deepEqual(readWeighedBarcode(label('123456', 349)), { article: '123456', priceCents: 349 });
});

test('other articles are not taken for weighed ones', () => {
  assert.equal(readWeighedBarcode('4006381333931'), undefined);
  assert.equal(readWeighedBarcode('2123456003490'), undefined);
});

test('every price a scale can print is read back', () => {
  for (let priceCents = 0; priceCents <= 99_999; priceCents += 1) {
    assert.equal(readWeighedBarcode(label('004711', priceCents)).priceCents, priceCents);
  }
});
