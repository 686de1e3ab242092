"""A migration that has landed never changes: ledgers out there have run it as it was."""

from __future__ import annotations

import hashlib
from pathlib import Path

from Src.Shared import migrations

VERSIONS = Path(migrations.__file__).parent / "versions"
# SHA-256 of each file. A new migration gets its line when it lands; no line ever changes.
LANDED = {
    "0001_ledger.py": "e9451074774ca08e636716a251f310ecc12f639b748949578edf306487894b15",
    "0002_counters.py": "b076308c87142d9152c3ea4f3b123599216c6243108b26edf40b07c322f9d4aa",
    "0004_paths.py": "34fe225438e4820ea3652b15be6a9e165f6be3a1460d4481647cc11c1364f13b",
    "0006_odd_inbox_files.py": "766dc2406a6cddfcc025f7db2a160d12a3a4af18d2ff0441e796c3131c923797",
    "0008_accounts.py": "65166735e26cf1b6b3f16b73a460d12a697413e0b60dec0a5654aaa4b46e4819",
    "0009_vault.py": "26b50f5f7dad3ee742319b93362387e93983bde9f1016cce3cca368b73f48570",
    "0010_dates.py": "95edc32afb396118ff2c2dd7e08f5dc0b0ff8ce8454a6f39e0e9976f399ab150",
    "0011_roles.py": "e42410ccbf6d08a4156c330a92ce62602be6e9e4ef914eed5d099c7129e1dfbe",
    "0012_instances.py": "d79f325c4e217328e493c4879e53d95cb31f375a490fcd4676ea325edcd2cfb6",
    "0013_companions.py": "28afb9a938ac243e9c04ad324cab015e35f933da45763a1812c309bbcff0e4ae",
    "0014_overlay.py": "6bc4505bb19b28ac3f0a51293d4d524d55bebd27d51335927392e7e179684c75",
    "0015_moves.py": "1ac322baf9dfab091813d3345d752b1a19f99af74f685a8e4b6abdb2c1af1cc1",
    "0016_operations.py": "1aebcb1df56d986240f096b06c1f8bcca807c0bb70684ba28e52091d3df0cc82",
    "0017_companions.py": "f4e00420ffd7ce2d64505bf284c1a9ccf35a4ed5680181f3f670312f820ced14",
    "0018_sidecars.py": "c7918c0be618c86ca27e243f4e6701ec25f17772f10bfb8841bcdb8f94c84ebd",
    "0019_asking.py": "0a1974711684107bfafa64ddec592a4adfe4532de5462a3b44e450b707700800",
    "0020_shots.py": "0ba3133e7c29ce0a10500f82ca8e3f06b0f3981ef245b7a418a536665db37bdf",
    "0021_manifests.py": "4bdf0be1c17f35922a302b5a91cde9a8e5744336c0a760701ac2628fb31b62b9",
    "0022_seals.py": "8f82326f3d6e861dce957c730e8e2869ede2a74d9b2c8705efa6a3c868600db2",
    "0023_copies.py": "c592dee6ba6b04f5f6a3dff42024468b144a753006e668ed9dc075e869876ff9",
    "0024_rebuilding.py": "301048cad6add46944a7b1f61321583e5bb2e6c525478f3ea9479fb0e7d064e5",
    "0025_sought.py": "df678711d806b9b24c8ad51f82fef54cb7f1d9806e247e66bc5eb1817bad681c",
}


def test_no_landed_migration_has_changed() -> None:
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in VERSIONS.glob("0*.py")}
    assert found == LANDED
