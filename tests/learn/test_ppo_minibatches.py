import torch

from isaachrl.learn.ppo.minibatches import Minibatches


def minibatches(rows, most, seed=0):
    found = Minibatches(rows, most, torch.Generator().manual_seed(seed))
    numbers = torch.arange(rows)
    zeros = torch.zeros(rows, 2)
    found.update_values_dict({"obs": numbers, "mu": zeros, "sigma": zeros.clone(), "rnn_states": None})
    return found


def test_rows_that_do_not_divide_give_parts_as_large_as_asked_for():
    # 4099 environments of 16 steps have no divisor between 16 and 4096
    sizes = [len(minibatches(4099 * 16, 4096)[i]["obs"]) for i in range(1)]
    assert len(minibatches(4099 * 16, 4096)) == 17 and sizes == [3858]
    for rows, expected in ((100, [100]), (200, [100, 100]), (150, [75, 75]), (101, [51, 50]), (64, [64])):
        found = minibatches(rows, 100)
        assert [len(found[i]["obs"]) for i in range(len(found))] == expected


def test_every_pass_takes_every_row_once_in_an_order_of_its_own():
    found = minibatches(101, 25)
    passes = [torch.cat([found[i]["obs"] for i in range(len(found))]) for _ in range(3)]
    for one in passes:
        assert torch.equal(one.sort().values, torch.arange(101))
    assert not torch.equal(passes[0], passes[1]) and not torch.equal(passes[1], passes[2])
    again = minibatches(101, 25)
    assert torch.equal(torch.cat([again[i]["obs"] for i in range(len(again))]), passes[0])


def test_new_policy_outputs_are_written_to_their_rows():
    found = minibatches(7, 4)
    for i in range(2):
        rows = found[i]["obs"]
        found.update_mu_sigma(rows.float().unsqueeze(1).expand(-1, 2), torch.full((len(rows), 2), float(i)))
    for i in range(2):
        batch = found[i]
        assert torch.equal(batch["mu"][:, 0], batch["obs"].float()), "each row has its own number"
        assert "rnn_states" not in batch
