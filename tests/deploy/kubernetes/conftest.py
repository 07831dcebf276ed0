"""Every test of a variant is run for all of them."""

from __future__ import annotations

import pytest

import manifests


@pytest.fixture(params=manifests.VARIANTS)
def variant(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def objects(variant: str) -> list[manifests.Object]:
    return manifests.render(variant)
