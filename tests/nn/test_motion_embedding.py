"""The sphere of motions: similar ones near, different ones far, the same clips always in the same prototypes."""

import torch

from isaachrl.nn.motion_embedding import MotionEmbedding, style_features


def _features() -> torch.Tensor:
    """Two pairs of similar motions and one on its own."""
    return torch.tensor([[0.0, 0.0, 0.0], [0.2, 0.0, 0.0], [3.0, 0.0, 0.0], [3.2, 0.0, 0.0], [0.0, 4.0, 0.0]])


def test_places_are_unit_vectors_ordered_by_similarity() -> None:
    space = MotionEmbedding(_features(), torch.ones(3), 8)
    assert torch.allclose(space.prototypes.norm(dim=-1), torch.ones(5), atol=1e-5)
    cosine = space.prototypes @ space.prototypes.T
    assert cosine[0, 1] > 0.9 and cosine[2, 3] > 0.9
    assert cosine[0, 2] < 0.2 and cosine[0, 4] < 0.2 and cosine[2, 4] < 0.2


def test_a_motion_seen_before_is_placed_where_it_was() -> None:
    space = MotionEmbedding(_features(), torch.ones(3), 8)
    assert torch.allclose(space.embed(_features()), space.prototypes, atol=1e-5)
    between = space.embed(torch.tensor([[0.1, 0.0, 0.0]]))
    assert (between @ space.prototypes.T).argmax().item() in (0, 1)


def test_a_latent_at_a_prototype_selects_its_motion() -> None:
    space = MotionEmbedding(_features()[[0, 2, 4]], torch.ones(3), 8)
    shares = space.segment_probabilities(space.prototypes, temperature=0.05)
    assert (shares.diagonal() > 0.99).all()
    assert torch.allclose(shares.sum(-1), torch.ones(3))


def test_nearest_is_by_features() -> None:
    space = MotionEmbedding(_features(), torch.ones(3), 8)
    assert space.nearest(torch.tensor([[3.19, 0.0, 0.0], [0.0, 3.0, 0.0]])).tolist() == [3, 4]


def test_with_a_single_motion_all_features_embed_to_one_point() -> None:
    space = MotionEmbedding(torch.ones(1, 3), torch.ones(3), 4)
    assert space.embed(torch.zeros(2, 3)).tolist() == [[1.0, 0.0, 0.0, 0.0]] * 2


def test_fewer_dimensions_than_motions_still_give_unit_vectors() -> None:
    space = MotionEmbedding(_features(), torch.ones(3), 2)
    assert torch.allclose(space.prototypes.norm(dim=-1), torch.ones(5), atol=1e-5)


def test_style_features_are_mean_and_deviation() -> None:
    frames = torch.tensor([[[1.0], [3.0]]])
    features = style_features(frames.mean(1), frames.square().mean(1))
    assert features.tolist() == [[2.0, 1.0]]
