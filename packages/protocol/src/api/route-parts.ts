import type { ROUTES, Route, RouteName } from './routes.ts';

type Routes = typeof ROUTES;

/** The schema (or kind of raw body) that a route has at a place; `undefined` where it has none. */
export type PartOf<Name extends RouteName, Part extends keyof Route> = Routes[Name] extends Record<Part, infer Value> ? Value : undefined;

/** The parameters in the path of a route. */
export type ParamsOf<Name extends RouteName> = ParamsIn<Routes[Name]['path']>;

type ParamsIn<Path extends string> = Path extends `${string}:${infer Name}/${infer Rest}`
  ? { [Key in Name | keyof ParamsIn<Rest>]: string }
  : Path extends `${string}:${infer Name}`
    ? { [Key in Name]: string }
    : Record<never, string>;
