"""Oxford-IIIT Pet: fetched and checked by torchvision's own downloader, from its own addresses."""

import logging
import shutil
import socket
import tarfile
from http.client import HTTPException
from pathlib import Path

from filelock import FileLock

from pets import private_api
from pets.data.sources.folder import ImageFolder
from pets.errors import UserError
from pets.files import fresh_folder, own_folder, read_text
from pets.settings import data as settings

_TIMEOUT_SECONDS = 60.0

_log = logging.getLogger(__name__)


class OxfordPets(ImageFolder):
    """The 37 breeds of Oxford-IIIT Pet, about 7,390 photographs.

    O. M. Parkhi, A. Vedaldi, A. Zisserman, C. V. Jawahar, "Cats and Dogs", CVPR 2012; CC BY-SA 4.0.

    Args:
        root: The folder that holds, or receives, `oxford-iiit-pet/images` and `oxford-iiit-pet/annotations`, as
            torchvision and fastai lay them out.
    """

    def __init__(self, root: str | Path) -> None:
        settings.OxfordPets(root)
        self.base = Path(root).expanduser() / "oxford-iiit-pet"
        super().__init__(self.base / "images", recursive=False)

    def prepare(self) -> None:
        """Fetch and unpack what is missing; with the images in place, do nothing.

        An archive that was fetched whole is not fetched again, and a folder appears only once it is complete.

        Raises:
            ConnectionError: An archive cannot be fetched whole.
        """
        if _has_files(self.root):
            return
        own_folder(self.base)
        with FileLock(self.base / ".lock"):
            if _has_files(self.root):
                return
            # Images last: their folder says that all is there.
            for url, md5 in reversed(private_api.oxford_pets_archives()):
                if not _has_files(self.base / _folder_name(url)):
                    self._fetch(url, md5)

    def official(self) -> dict[str, list[str]]:
        """Return the photographs of the data set's lists: `trainval` to train on, `test` to validate on.

        The published error rates are measured on `test`, so the validation error compares with them.

        Raises:
            FileNotFoundError: The lists are not there.
        """
        return {"train": self._read_list("trainval"), "valid": self._read_list("test")}

    def _read_list(self, name: str) -> list[str]:
        path = self.base / "annotations" / f"{name}.txt"
        if not path.is_file():
            raise FileNotFoundError(
                f"data.split.method=official needs {path}, which annotations.tar.gz of the set holds"
            )
        lines = read_text(path).splitlines()
        return [f"{line.split()[0]}.jpg" for line in lines if line.strip() and not line.startswith("#")]

    def _fetch(self, url: str, md5: str) -> None:
        from torchvision.datasets.utils import download_url

        _log.info("fetching %s into %s", url, self.base)
        previous = socket.getdefaulttimeout()
        # Without it a connection that falls silent would be waited for forever.
        socket.setdefaulttimeout(_TIMEOUT_SECONDS)
        archive = self.base / url.rsplit("/", 1)[1]
        if archive.is_symlink():
            archive.unlink()  # torchvision would write to where it leads
        try:
            download_url(url, str(self.base), md5=md5)
        # torchvision raises RuntimeError for a wrong MD5; on its next call it fetches that archive anew.
        except (OSError, RuntimeError, HTTPException) as error:
            raise ConnectionError(
                f"Oxford-IIIT Pet: {url} cannot be fetched ({error}); run again to resume, or use data.root=FOLDER "
                "that holds oxford-iiit-pet/images, or experiment=demo, which needs no network"
            ) from error
        finally:
            socket.setdefaulttimeout(previous)
        _unpack(archive, self.base, _folder_name(url))


def _folder_name(url: str) -> str:
    return url.rsplit("/", 1)[1].removesuffix(".tar.gz")


def _unpack(archive: Path, base: Path, folder: str) -> None:
    """Unpack the one folder of an archive; it appears in `base` when it is complete.

    Raises:
        ValueError: The archive holds a path outside the folder, or anything but files and folders.
    """
    # A fixed name, under the lock: what a killed run left behind goes now.
    temporary = fresh_folder(base / ".unpacking")
    with tarfile.open(archive) as tar:
        for member in tar:
            target = temporary / member.name
            content = tar.extractfile(member) if member.isfile() else None
            if not target.is_relative_to(temporary) or ".." in target.parts or (content is None and not member.isdir()):
                raise UserError(f"{archive}: refused to unpack {member.name!r}, which is no file or folder inside it")
            if content is not None:
                target.parent.mkdir(parents=True, exist_ok=True)
                with open(target, "wb") as file:
                    shutil.copyfileobj(content, file)
    (temporary / folder).replace(base / folder)
    shutil.rmtree(temporary)
    archive.unlink()


def _has_files(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())
