"""What `pip install` brings equals what is in the tree."""

from typing import Any, cast

from tests.architecture.tree import FOLDERS, ROOT, modules, project


def _setuptools() -> dict[str, Any]:
    return cast(dict[str, Any], project()["tool"])["setuptools"]  # type: ignore[no-any-return]


def test_every_folder_with_sources_is_in_the_list_of_packages() -> None:
    folders = {
        ".".join((package, *path.parent.relative_to(folder).parts))
        for package, folder in FOLDERS.items()
        for path in folder.rglob("*.py")
    }
    assert sorted(_setuptools()["packages"]) == sorted(folders)


def test_every_package_has_an_init() -> None:
    packages = {module.name for module in modules() if module.path.name == "__init__.py"}
    assert sorted(set(_setuptools()["packages"]) - packages) == []


def test_the_mapping_names_the_folders() -> None:
    mapping = {package: str(folder.relative_to(ROOT)) for package, folder in FOLDERS.items()}
    assert _setuptools()["package-dir"] == mapping


def test_mypy_sees_every_package_under_its_installed_name() -> None:
    view = {f"fakturo.{link.name}": link.resolve() for link in (ROOT / ".view" / "fakturo").iterdir()}
    assert view == FOLDERS


def test_typed_packages_say_so() -> None:
    folders = [folder for package, folder in FOLDERS.items() if package != "fakturo.migrations"]
    assert [folder.name for folder in folders if not (folder / "py.typed").exists()] == []
