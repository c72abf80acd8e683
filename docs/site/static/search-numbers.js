// Sphinx's search drops words that are numbers. Here they are close codes and statuses, which people look up.
const parse = Search._parseQuery;

// A close code without a row of its own is found in the range that it belongs to.
const indexed = (number) => {
  if (number in Search._index.terms || !/^[34]\d{3}$/.test(number)) return number;
  return number[0] + (number[1] < "5" ? "000" : "500");
};

Search._parseQuery = (query) => {
  const parsed = parse(query);
  const [, searched, , highlighted] = parsed;
  for (const word of splitQuery(query)) {
    if (!/^\d+$/.test(word)) continue;
    searched.add(indexed(word));
    highlighted.add(word);
  }
  return parsed;
};
