import { planProblems, planTotals, plan as schema } from '../plan/plan.ts';
import { defineTool, failed, succeeded } from './tool.ts';

export const plan = defineTool({
  name: 'plan',
  description: 'Show a plan: subtasks, what each needs, time and cost.',
  effect: 'host',
  waitsForPerson: true,
  input: schema,
  problemOf: (input) => {
    const problems = planProblems(input);
    return problems.length === 0 ? undefined : `the plan cannot run: ${problems.join('; ')}`;
  },
  async run(input, { host, isPlanning, signal }) {
    const totals = planTotals(input);
    const { isAccepted, remarks } = await host.showPlan(input, totals, signal);
    const said = remarks === undefined || remarks === '' ? '' : ` They say: ${remarks}`;
    if (!isPlanning) return succeeded(`The plan is shown.${said}`);
    if (!isAccepted) return failed(`A person does not agree with the plan.${said} Change it and show it again.`);
    return succeeded(`A person agrees with the plan.${said}`, { isPlanAccepted: true });
  },
});
