"""What exists: every data set of the two papers (DSL, AMGP), with origin, licence and counts.

No data file is part of this project; `data.fetch` downloads from the places named here.
"""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class DataSet:
    """One data set: where it comes from, under which terms, and how to tell it is whole.

    Attributes:
        name: Key in the catalogue, e.g. `"ml-1m"`.
        title: Name for people.
        homepage: Page that describes the data set and states its terms.
        url: Official archive (zip or tar), or None where nobody publishes one.
        archive_folder: Folder inside the archive that holds the files, `""` for its root.
        sha256: SHA-256 of the archive in hexadecimal, or None where none could be confirmed.
        checksum_note: Where the checksum is from, or what is checked in its place.
        licence: The terms in a sentence or two.
        citation: What a publication should cite.
        folder: Name of the folder with the files, below a data directory or the cache.
        counts: Sizes that a reader checks, e.g. `{"interactions": 1000209, "users": 6040}`.
        pairs_sha256: By part of the data set, SHA-256 of its (user, item) pairs as little-endian
            int32, sorted, which neither the archive's format nor the order of lines changes;
            computed from copies with the official counts. Parts are missing where none was there.
        content_sha256: SHA-256 of all that a reader makes of the files, in their order, where more
            counts than which pairs there are; computed in the same way.
    """

    name: str
    title: str
    homepage: str
    url: str | None
    archive_folder: str
    sha256: str | None
    checksum_note: str
    licence: str
    citation: str
    folder: str
    counts: Mapping[str, int] = dataclasses.field(hash=False)
    pairs_sha256: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)
    content_sha256: str | None = None


_TFDS = (
    "SHA-256 as recorded by TensorFlow Datasets (tensorflow_datasets/url_checksums/movielens.txt)."
)
_NO_CHECKSUM = "No official SHA-256 could be found; the counts are checked instead."
# GitHub builds these archives on demand and does not promise the same bytes for ever.
_GITHUB = "GitHub's archive of a branch has no stable checksum; the counts are checked instead."
_GROUPLENS = (
    "Research use with acknowledgement; redistribution, and commercial use, only with GroupLens' "
    "permission."
)
_HARPER = (
    "F. M. Harper and J. A. Konstan. The MovieLens Datasets: History and Context. ACM TiiS 5(4), "
    "2015. doi:10.1145/2827872"
)
_LIGHTGCN_HOME = "https://github.com/kuandeng/LightGCN"
_LIGHTGCN_ZIP = "https://github.com/kuandeng/LightGCN/archive/refs/heads/master.zip"
_LIGHTGCN = "Split: X. He et al. LightGCN. SIGIR 2020. doi:10.1145/3397271.3401063"


def _lightgcn(
    folder: str,
    title: str,
    source: str,
    citation: str,
    users: int,
    items: int,
    train: int,
    test: int,
    train_sha256: str | None = None,
    test_sha256: str | None = None,
) -> DataSet:
    """A data set in LightGCN's split; `train` and `test` are numbers of interactions."""
    return DataSet(
        name=folder,
        title=f"{title} (LightGCN's split)",
        homepage=_LIGHTGCN_HOME,
        url=_LIGHTGCN_ZIP,
        archive_folder=f"LightGCN-master/Data/{folder}",
        sha256=None,
        checksum_note=_GITHUB,
        licence=f"The repository states no licence for the data; {source}",
        citation=f"{citation} {_LIGHTGCN}",
        folder=folder,
        counts={
            "interactions": train + test,
            "train_interactions": train,
            "test_interactions": test,
            "users": users,
            "items": items,
        },
        pairs_sha256={
            part: digest
            for part, digest in (("train", train_sha256), ("test", test_sha256))
            if digest is not None
        },
    )


_ALL = (
    DataSet(
        name="ml-1m",
        title="MovieLens 1M",
        homepage="https://grouplens.org/datasets/movielens/1m/",
        url="https://files.grouplens.org/datasets/movielens/ml-1m.zip",
        archive_folder="ml-1m",
        sha256="a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
        checksum_note=_TFDS,
        licence=_GROUPLENS,
        citation=_HARPER,
        folder="ml-1m",
        counts={"interactions": 1_000_209, "users": 6_040, "items": 3_706},
        pairs_sha256={"": "f5a13c1f7745cc94cd590af72527e15e21cb566352d2f5812c1f5caa658e1af4"},
        content_sha256="3796cb5d99a73159592b44bf6814935a7f1b30f7deaef690df323cbd9352bd63",
    ),
    DataSet(
        name="ml-1m-ncf",
        title="MovieLens 1M (NCF's leave-one-out split)",
        homepage="https://github.com/hexiangnan/neural_collaborative_filtering",
        url="https://github.com/hexiangnan/neural_collaborative_filtering/archive/refs/heads/"
        "master.zip",
        archive_folder="neural_collaborative_filtering-master/Data",
        sha256=None,
        checksum_note=_GITHUB,
        licence=_GROUPLENS,
        citation=f"{_HARPER} Split: X. He et al. Neural Collaborative Filtering. WWW 2017. "
        "doi:10.1145/3038912.3052569",
        folder="ml-1m-ncf",
        counts={
            "train_interactions": 994_169,
            "test_interactions": 6_040,
            "negative_interactions": 597_960,
            "users": 6_040,
            "items": 3_706,
        },
        pairs_sha256={
            "train": "8039e7d66d8e11cc1e61e31c68aa6194d73b885a37d97f33b51e8ef11e5eabf4",
            "test": "8c0ee2aab29331d67fb40147c1f3923ea7e9b884aa7d1ecb06589a97550d6739",
            "negative": "b7c7e612e8add8052a668e113f7ec7025e3f83dddf6fde4176ba77a089e0c435",
        },
    ),
    DataSet(
        name="ml-100k",
        title="MovieLens 100K",
        homepage="https://grouplens.org/datasets/movielens/100k/",
        url="https://files.grouplens.org/datasets/movielens/ml-100k.zip",
        archive_folder="ml-100k",
        sha256="50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
        checksum_note=_TFDS,
        licence=_GROUPLENS,
        citation=_HARPER,
        folder="ml-100k",
        counts={"interactions": 100_000, "users": 943, "items": 1_682},
        content_sha256="4aeeafbe1e7210331808d087c756d556820b38f239eb2b124f2e179bf77a2817",
    ),
    DataSet(
        name="citeulike-t",
        title="CiteULike (citeulike-t)",
        homepage="https://github.com/js05212/citeulike-t",
        url="https://github.com/js05212/citeulike-t/archive/refs/heads/master.zip",
        archive_folder="citeulike-t-master",
        sha256=None,
        checksum_note=_GITHUB,
        licence="The repository states no licence; its authors ask for a citation.",
        citation="H. Wang, B. Chen and W.-J. Li. Collaborative Topic Regression with Social "
        "Regularization for Tag Recommendation. IJCAI 2013.",
        folder="citeulike-t",
        counts={"interactions": 134_860, "users": 7_947, "items": 25_975},
        pairs_sha256={"": "6297f827c79b656b1e5d4116ff58f7fef753804e9fdd0a3e6f2960867e1a7532"},
        content_sha256="0104bbc8478b1aa8fa1fa4b3ad620dbd06c7d0293e1acf6804e5e35c1a4b26be",
    ),
    DataSet(
        name="foursquare",
        title="Foursquare (DSL's subset)",
        homepage="https://sites.google.com/site/yangdingqi/home/foursquare-dataset",
        url=None,
        archive_folder="",
        sha256=None,
        checksum_note="The subset used by DSL is not published, so there is nothing to check.",
        licence="The terms are those stated on the homepage.",
        citation="D. Yang, D. Zhang, V. W. Zheng and Z. Yu. Modeling User Activity Preference by "
        "Leveraging User Spatial Temporal Characteristics in LBSNs. IEEE Trans. SMC: Systems "
        "45(1), 2015 (the New York and Tokyo check-ins; other sets on that page have their own).",
        folder="foursquare",
        counts={},
    ),
    _lightgcn(
        "gowalla",
        "Gowalla",
        "the check-ins are from https://snap.stanford.edu/data/loc-gowalla.html.",
        "E. Cho, S. A. Myers and J. Leskovec. Friendship and Mobility. KDD 2011.",
        users=29_858,
        items=40_981,
        train=810_128,
        test=217_242,
        train_sha256="f44cff05ba25a6ccaac60444d7cce50aecd50831597ace016f35cc309045682d",
        test_sha256="49228ae5460098301b646682534c1e0ec34f811c49e0e3740f16f7760c8f512d",
    ),
    _lightgcn(
        "yelp2018",
        "Yelp2018",
        "the reviews are Yelp's, under the terms at https://www.yelp.com/dataset.",
        "Yelp Open Dataset, 2018.",
        users=31_668,
        items=38_048,
        train=1_237_259,
        test=324_147,
        train_sha256="e2f2f50836855d94a19497557e7cd917c5809cfa2b3318ab04e388e08d825213",
        test_sha256="02cbbfe351ce3b5e74aa3644ae16d85e7e51a89374d151504d475b4b879cc29e",
    ),
    _lightgcn(
        "amazon-book",
        "Amazon-book",
        "the reviews are from https://jmcauley.ucsd.edu/data/amazon/.",
        "R. He and J. McAuley. Ups and Downs. WWW 2016.",
        users=52_643,
        items=91_599,
        train=2_380_730,
        test=603_378,
    ),
    DataSet(
        name="criteo-kaggle",
        title="Criteo Kaggle Display Advertising Challenge",
        homepage="https://ailab.criteo.com/ressources/",
        url="https://go.criteo.net/criteo-research-kaggle-display-advertising-challenge-dataset.tar.gz",
        archive_folder="",
        sha256=None,
        checksum_note=_NO_CHECKSUM,
        licence="Released by Criteo for academic use, under the terms stated on its page.",
        citation="Criteo Labs. Kaggle Display Advertising Challenge dataset, 2014.",
        folder="criteo-kaggle",
        counts={"rows": 45_840_617, "integer_fields": 13, "categorical_fields": 26},
    ),
)

CATALOG: dict[str, DataSet] = {entry.name: entry for entry in _ALL}


def get(name: str) -> DataSet:
    """Returns the catalogue entry called `name`.

    Raises:
        ValueError: If there is none; the message lists the known names.
    """
    if name not in CATALOG:
        raise ValueError(f"unknown data set {name!r}; expected one of {', '.join(sorted(CATALOG))}")
    return CATALOG[name]
