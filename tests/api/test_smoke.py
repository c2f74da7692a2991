from fastapi.testclient import TestClient

from tests.pictures import jpeg


def test_an_enrolled_person_is_found_on_both_databases(client: TestClient) -> None:
    for seed in range(3):
        answer = client.post(f"/gallery?identity=p-{seed}", content=jpeg(seed), headers={"Content-Type": "image/jpeg"})
        assert answer.status_code == 201, answer.text
    found = client.post("/query?k=2", content=jpeg(1), headers={"Content-Type": "image/jpeg"}).json()
    assert found["candidates"][0]["identity"] == "p-1"
